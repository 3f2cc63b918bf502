"""The table of contents: what each documented step is called here, and their order in `setup`."""

from gpudock import development
from gpudock.command import namespace
from gpudock.steps import (
    audit,
    check,
    difference,
    doctor,
    engine,
    gpu,
    image,
    journey,
    jupyter,
    mirror,
    push,
    rollback,
    scripts,
    ssh,
    stack,
    support,
    toolkit,
)
from gpudock.steps.status import STATUS
from gpudock.steps.top import TOP

STEPS = (
    engine.INSTALL,  # prerequisite
    *toolkit.STEPS,  # 1.1 repository  1.2 channel  1.3 package  1.4 runtime  1.5 restart
    image.BUILD,  # 2, or
    push.PUSH,  # 2, built elsewhere
    stack.UP,  # 3.1, 3.2
    ssh.START,  # 3.3
    jupyter.PASSWORD,  # 4.2
    jupyter.START,  # 4.3
    toolkit.CONTAINERS,  # others' GPUs are as before
    gpu.PROVE,  # and ours compute
    scripts.RUN,  # your own scripts of the start
)

ns = namespace("gpudock", journey.setup(STEPS), journey.plan(STEPS), STATUS, journey.teardown(), journey.config)
ns.add_task(TOP)
ns.add_task(doctor.DOCTOR)
ns.add_task(audit.audit)
ns.add_task(development.test)
ns.add_task(development.schema)
for task in (check.check, difference.diff, push.push, rollback.rollback):
    image.TASKS.add_task(task)
for part in (engine, toolkit, image, stack, ssh, jupyter, scripts, gpu, mirror, support):
    ns.add_collection(part.TASKS)

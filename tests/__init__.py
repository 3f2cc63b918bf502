"""The tests. What gpudock keeps on the operator's machine is the test process's own: workers run side by side."""

import atexit
import os
import shutil
import tempfile

os.environ["GPUDOCK_STATE"] = tempfile.mkdtemp(prefix="gpudock-state-")
# Under pytest tests/conftest.py takes it away: xdist's workers end without their exit functions.
atexit.register(shutil.rmtree, os.environ["GPUDOCK_STATE"], ignore_errors=True)

"""The tests. What gpudock keeps on the operator's machine is the test process's own: workers run side by side."""

import atexit
import os
import shutil
import tempfile

os.environ["GPUDOCK_STATE"] = tempfile.mkdtemp(prefix="gpudock-state-")
atexit.register(shutil.rmtree, os.environ["GPUDOCK_STATE"], ignore_errors=True)

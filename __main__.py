"""What `./inv` and `./fab` run in the environment: `python FOLDER inv …`."""

import sys

try:
    from gpudock import start

    start.import_invoke()

    from gpudock.program import main

    main()
except KeyboardInterrupt:  # while it was still being loaded; the rest is Invoke's and runner.py's
    sys.exit(1)

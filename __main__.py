"""What `./inv` and `./fab` run in the environment: `python FOLDER inv …`."""

from gpudock import start

start.import_invoke()

from gpudock.program import main  # noqa: E402  # it imports Invoke

main()

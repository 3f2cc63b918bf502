"""What `./inv` and `./fab` run in the environment: `python FOLDER inv …`."""

from gpudock.program import main

main()

"""The proxy behind `network.through: operator`, which through.py starts as a process of its own.

proxy.py (https://github.com/abhinavsingh/proxy.py) does the work. The password comes on standard input, the port goes
to standard output, and the end of the input is the end of it.
"""

import sys

IDLE = 600  # seconds of silence after which a connection is given up; proxy.py's own 10 are too few for a busy mirror


def main() -> None:
    """Serve until standard input ends."""
    import proxy

    login = f"gpudock:{sys.stdin.readline().strip()}"
    words = ["--hostname", "127.0.0.1", "--port", "0", "--basic-auth", login, "--timeout", str(IDLE), "--threaded"]
    with proxy.Proxy([*words, "--num-acceptors", "1", "--num-workers", "1", "--log-level", "CRITICAL"]) as running:
        print(running.flags.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

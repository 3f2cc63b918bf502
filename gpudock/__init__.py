"""gpudock takes a Linux server to a running, proven GPU container."""

__version__ = "0.1.0"

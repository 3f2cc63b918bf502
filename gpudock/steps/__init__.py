"""One noun a file: what a step asks, how it reads the answers, what it plans."""

"""A user's own project on gpudock: a step, a table of contents, and plain tasks beside it."""

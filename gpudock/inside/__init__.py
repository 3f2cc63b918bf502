"""Programs that are sent into a container and run by its Python: standard library alone, one file each."""

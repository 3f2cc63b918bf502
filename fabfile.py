"""What `fab` loads: the same tasks as `inv`."""

from tasks import ns as ns

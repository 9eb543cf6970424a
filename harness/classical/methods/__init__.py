"""One method a file; `harness.classical` has their functions by name."""

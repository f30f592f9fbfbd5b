"""What the operator runs: `make run` and its parts."""

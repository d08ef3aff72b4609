"""The log as others can check it: Merkle trees, signed checkpoints, entries."""

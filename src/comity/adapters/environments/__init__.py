"""Environments for tasks: the node's own, or built from locked requirements and kept."""

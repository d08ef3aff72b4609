"""The owner's policy at its own node: the file that holds it, what it says of tasks, and what runs have spent."""

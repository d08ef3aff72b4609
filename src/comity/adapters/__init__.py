"""Floor 4: the world behind the ports."""

"""Floor 1: the nouns of the house. Pure values, no I/O, no clock, no hidden randomness."""

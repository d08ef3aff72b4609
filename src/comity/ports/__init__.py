"""Floor 3: what the programs need of the world, as small protocols with an in-memory fake of each."""

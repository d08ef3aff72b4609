"""What a user's program does with experiments and networks."""

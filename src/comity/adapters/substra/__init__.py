"""What Substra calls a function: an archive with a Dockerfile, run here without Docker."""

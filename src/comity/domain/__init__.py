"""What is true of a channel: its events, the rules they keep, and the records they leave. Pure."""

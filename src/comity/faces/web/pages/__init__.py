"""One file for each page, or for a list and what is in it."""

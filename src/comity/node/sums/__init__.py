"""Masked sums between nodes: the machines of `comity.privacy`, with a database below and sealed mail between them."""

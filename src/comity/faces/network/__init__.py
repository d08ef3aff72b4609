"""A whole network on one machine: a hub and its nodes, forked from one process that has loaded everything."""

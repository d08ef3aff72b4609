"""The node's REST API: the wire contract of Substra 1.0, extended."""

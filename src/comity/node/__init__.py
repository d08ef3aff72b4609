"""A node: an organization's server, with its data, its workers, its users and its REST API."""

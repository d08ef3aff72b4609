"""The node's pages: rendered here of what the API shows, without a build step and without a second copy of the nouns."""

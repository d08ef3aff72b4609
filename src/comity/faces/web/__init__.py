"""The pages of a node: made here of what the API shows, without a build step or a second copy of the nouns."""

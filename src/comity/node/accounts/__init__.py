"""The users of a node: who they are, what they may do, and how they show it. Nothing of this is ever logged."""

"""The hub: orders the log and relays sealed blobs; sees no data and no model."""

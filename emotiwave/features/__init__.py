"""Feature sequences on disk, and what is computed from signals."""

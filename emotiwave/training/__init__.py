"""Training under missing modalities: one loop, for every model."""

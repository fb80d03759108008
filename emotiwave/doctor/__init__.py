"""The data doctor: finds in feature files, labels and stores what would hurt a model, before a model sees them."""

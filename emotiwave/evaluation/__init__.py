"""Scores of predictions in every modality configuration, with intervals."""

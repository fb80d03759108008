"""Faces in pictures: found, followed over time, cut out."""

"""Draws evaluated runs; computes nothing."""

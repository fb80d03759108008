"""Comparisons: their recipes, the grid of runs that follows, and what is read off it."""

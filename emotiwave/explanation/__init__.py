"""Who contributed to an answer, and how much."""

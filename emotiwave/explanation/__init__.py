"""Why: who contributed to an answer and how much, when, and whether that is true."""

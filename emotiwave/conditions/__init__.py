"""What is done to the input before it is answered: modalities, frames and stretches hidden, features spoiled.

A condition is pure and seeded, leaves every utterance where it is, and changes nothing at severity 0. What it hides at
one severity it hides at every higher one, so that a curve tells of severity and not of luck.
"""

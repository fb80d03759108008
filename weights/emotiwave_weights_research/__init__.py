"""Weights of Emotiwave's experts; data alone, see MODEL_CARD.md and NOTICE."""

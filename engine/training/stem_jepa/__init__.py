"""How Stem-JEPA is trained."""

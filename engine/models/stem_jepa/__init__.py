"""Stem-JEPA (Riou et al. 2024): the network, what it is shown, its ranker."""

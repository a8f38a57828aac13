"""The rankers: one file per published system."""

"""The fit model as it ranks: towers, curves and judge in NumPy, and its checkpoint."""

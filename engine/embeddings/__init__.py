"""What the fit model knows of the stems of a library, and where it is kept."""

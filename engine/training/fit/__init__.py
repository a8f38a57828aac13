"""How the fit model is trained and its curves are fitted."""

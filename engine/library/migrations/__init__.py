"""How a library of an older dawlink becomes one of today's; run when it is opened."""

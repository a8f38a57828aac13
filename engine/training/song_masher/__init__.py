"""How song-masher and the mask network are trained."""

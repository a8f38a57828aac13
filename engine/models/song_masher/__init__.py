"""song-masher, and the mask network that came of it."""

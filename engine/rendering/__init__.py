"""From placed stems to audio on the grid of the session."""

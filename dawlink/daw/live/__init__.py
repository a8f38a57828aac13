"""Ableton Live: sets (``.als``) and clips (``.alc``), read, copied and written."""

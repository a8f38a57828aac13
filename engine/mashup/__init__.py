"""Putting one piece of music under another: placement on a session's grid."""

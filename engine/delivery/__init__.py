"""Rendered suggestions as files that appear together."""

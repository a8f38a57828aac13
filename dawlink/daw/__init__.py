"""Projects that a DAW opens: one neutral record, one writer per format."""

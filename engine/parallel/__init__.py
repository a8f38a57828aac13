"""Work in several processes or on several machines, and threads for what is short."""

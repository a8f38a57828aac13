"""The engine daemon: OSC messages as records, the asyncio server, sessions and jobs."""

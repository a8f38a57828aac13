"""The clip that is asked about: the request, its analysis, its cache, the song it was cut from."""

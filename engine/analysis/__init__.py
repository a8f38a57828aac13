"""What is heard in a recording: stems, beats, tempo, key, loudness, structure, features."""

"""Waveforms in and out: decoding, encoding, resampling, loudness and stretching."""

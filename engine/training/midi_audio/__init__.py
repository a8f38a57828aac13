"""MIDI songs as audio: role stems with exact beats and keys, for training and evaluation.

``score`` reads a file, ``excerpt`` takes a stretch of it, ``recipe`` draws everything random from
one seed, ``synth`` and ``voice`` make sound, ``production`` gives it room, level and codec,
``songs`` puts one song together, ``corpus`` brings many into a library.
"""

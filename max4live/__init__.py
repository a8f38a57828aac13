"""What runs inside Ableton Live: the Max for Live device and the Remote Script.

``device`` holds the device as readable source (a patch description and an ES5 script) and the
builder that freezes both into one ``.amxd``; ``remote_script`` holds the same job for editions of
Live without Max for Live. Standard library only; pictures need matplotlib.
"""

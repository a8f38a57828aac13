"""A Live set in memory, with the two faces that scripts see of it.

The set (``song``, ``tracks``, ``clips``) keeps the rules of the Live Object Model: units that
follow warping, a region that follows looping, stale end markers, overwriting in the arrangement,
members that exist from a certain Live on, and no changes from inside a notification. ``max_api``,
``max_js`` and ``max_device`` show it as Max does and run a device's script in an ES5 engine;
``python_face`` shows it as Live's own Python does and runs a Remote Script.
"""

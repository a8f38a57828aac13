"""The Max for Live device: description, script, container, folders of the User Library."""

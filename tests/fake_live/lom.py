"""What all objects of the Live Object Model share: ids, listeners, gated members, deletion.

Rules kept here: a deleted object compares equal to None and refuses every use; nothing may be
changed while a notification runs; a member that this Live does not have is no attribute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from tests.fake_live.versions import LiveVersion

IN_NOTIFICATION = (
    "Changes cannot be triggered by notifications. You will need to defer your response."
)
_LISTENER = re.compile(r"(add_)?(remove_)?(\w+?)_(listener|has_listener)")
_ALWAYS = {"alive", "world", "lom_id", "lom_name", "observable", "gated"}


class ArgumentError(TypeError):
    """What Live raises when an object is used that is gone."""


class World:
    """One running Live: its version, its objects by id, and whether a notification runs."""

    def __init__(self, version: LiveVersion) -> None:
        self.version = version
        self.notifying = 0
        #: Scripts' sins that Live only prints or swallows; a test looks here.
        self.console: list[str] = []
        self.objects: dict[int, LiveObject] = {}
        self.on_deleted: list[Callable[[LiveObject], None]] = []

    def enrol(self, item: LiveObject) -> int:
        number = len(self.objects) + 1
        self.objects[number] = item
        return number

    def check_change(self) -> None:
        if self.notifying:
            raise RuntimeError(IN_NOTIFICATION)

    @contextmanager
    def notification(self) -> Iterator[None]:
        self.notifying += 1
        try:
            yield
        finally:
            self.notifying -= 1


class LiveObject:
    """Base of song, track, slot, clip and views."""

    lom_name: ClassVar[str] = "LiveObject"
    observable: ClassVar[frozenset[str]] = frozenset()
    gated: ClassVar[dict[str, str]] = {}

    def __init__(self, world: World) -> None:
        self.world = world
        self.alive = True
        self._listeners: dict[str, list[Callable[[], object]]] = {}
        self.lom_id = world.enrol(self)

    def __getattribute__(self, name: str) -> Any:
        read = object.__getattribute__
        if not name.startswith("_") and name not in _ALWAYS:
            if not read(self, "alive"):
                raise ArgumentError(f"{type(self).__name__}.{name}: the object is gone")
            feature = type(self).gated.get(name)
            if feature is not None and not read(self, "world").version.has(feature):
                raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return read(self, name)

    def __getattr__(self, name: str) -> Any:
        found = _LISTENER.fullmatch(name)
        if found is None or found[3] not in type(self).observable:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        listeners = self._listeners.setdefault(found[3], [])
        if found[1]:
            return lambda callback: self._listen(listeners, callback)
        if found[2]:
            return lambda callback: self._unlisten(listeners, callback)
        return lambda callback: callback in listeners

    def __eq__(self, other: object) -> bool:
        return self is other or (other is None and not self.alive)

    def __hash__(self) -> int:
        return id(self)

    def _listen(
        self, listeners: list[Callable[[], object]], callback: Callable[[], object]
    ) -> None:
        if callback in listeners:
            raise RuntimeError("Observer already connected")
        listeners.append(callback)

    def _unlisten(
        self, listeners: list[Callable[[], object]], callback: Callable[[], object]
    ) -> None:
        if callback not in listeners:
            raise RuntimeError("Observer not connected")
        listeners.remove(callback)

    def _changing(self) -> None:
        self.world.check_change()

    def _notify(self, *properties: str) -> None:
        """Calls listeners at once, as Live does: from inside whatever made the change."""
        with self.world.notification():
            for name in properties:
                for callback in list(self._listeners.get(name, ())):
                    callback()

    def _die(self) -> None:
        self.alive = False
        self._listeners.clear()
        for callback in list(self.world.on_deleted):
            callback(self)

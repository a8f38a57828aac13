"""Max's ``LiveAPI`` over the set: paths, ids, get, set, call, observing.

Rules kept here. Broken ones raise ``RuleBroken`` and are kept in ``broken``, so that a script
cannot swallow them: no use before ``live.thisdevice``, and none inside a notification. As in Max,
``set`` never says that it failed, what is missing answers with a bare 1, a name of digits arrives
as a number, and the editing of warp markers claims success and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from tests.fake_live.lom import LiveObject
from tests.fake_live.schema import SHAPES, Shape
from tests.fake_live.song import LiveSet
from tests.fake_live.tracks import Track

Atom = int | float | str
Answer = list[Atom] | int | None
#: What get, set and call answer on an object that is not there.
MISSING = 1
#: Functions that report success from Max and change nothing.
HOLLOW = ("add_warp_marker", "move_warp_marker", "remove_warp_marker")


class RuleBroken(Exception):
    """A script did what Max for Live forbids."""


class MaxDevice(LiveObject):
    """``this_device``."""

    lom_name: ClassVar[str] = "MaxDevice"
    name = "dawlink"

    def __init__(self, track: Track) -> None:
        super().__init__(track.world)
        self._track = track

    canonical_parent = property(lambda self: self._track)


@dataclass
class Handle:
    """One ``LiveAPI`` object of the script."""

    target: LiveObject | None = None
    path: str = ""
    callback: int = 0
    observed: str = ""
    stop: Callable[[], None] = field(default=lambda: None)

    @property
    def id(self) -> int:
        return self.target.lom_id if self.target is not None and self.target.alive else 0


class LiveApi:
    """All ``LiveAPI`` objects of one device."""

    def __init__(
        self,
        live: LiveSet,
        device: MaxDevice,
        call_back: Callable[[int, list[Atom]], None],
    ) -> None:
        self.live, self.world, self.device = live, live.world, device
        self._call_back = call_back
        #: Set by the patch when ``live.thisdevice`` has banged.
        self.ready = False
        self.broken: list[str] = []
        #: Distinct texts that went through Max's symbol table.
        self.symbols: set[str] = set()
        self._handles: dict[int, Handle] = {}
        self.world.on_deleted.append(self._forget)

    def new(self, callback: int, path: Atom) -> int:
        """A ``LiveAPI``; its callback is told the id at once."""
        self._check("new LiveAPI")
        number = len(self._handles) + 1
        self._handles[number] = Handle(callback=callback)
        self._point(self._handles[number], path)
        return number

    def goto(self, number: int, path: Atom) -> None:
        self._check("path")
        self._point(self._handles[number], path)

    def id(self, number: int) -> str:
        """A text, as the reference has it; "0" where nothing is there."""
        self._check("id")
        return str(self._handles[number].id)

    def path(self, number: int) -> str:
        self._check("path")
        return self._handles[number].path if self._handles[number].id else ""

    def kind(self, number: int) -> str:
        self._check("type")
        target = self._alive(number)
        return target.lom_name if target else ""

    def children(self, number: int) -> list[Atom]:
        self._check("children")
        target = self._alive(number)
        shape = SHAPES[target.lom_name] if target else Shape(())
        return [*shape.children, *shape.child]

    def info(self, number: int) -> str:
        """Every member that this Live has."""
        self._check("info")
        target = self._alive(number)
        if target is None:
            return "No object"
        shape = SHAPES[target.lom_name]
        lines = [f"id {target.lom_id}", f"type {target.lom_name}"]
        lines += [f"children {name} list" for name in shape.children]
        lines += [f"child {name}" for name in shape.child if self._has(target, name)]
        lines += [f"property {name}" for name in shape.properties if self._has(target, name)]
        lines += [f"function {name}" for name in shape.functions if self._has(target, name)]
        return "\n".join([*lines, "done"])

    def count(self, number: int, name: str) -> int:
        self._check("getcount")
        target = self._alive(number)
        return len(getattr(target, name)) if target else MISSING

    def get(self, number: int, name: str) -> Answer:
        self._check(f"get {name}")
        target = self._alive(number)
        if target is None:
            return MISSING
        shape = SHAPES[target.lom_name]
        if name not in (*shape.properties, *shape.child, *shape.children):
            return self._complain(f"get: {target.lom_name} has no {name}")
        try:
            value = getattr(target, shape.attribute.get(name, name))
        except (RuntimeError, AttributeError) as error:
            return self._complain(f"get {name}: {error}")
        atoms = _atoms(value)
        if name not in (*shape.child, *shape.children):
            self.symbols |= {atom for atom in atoms if isinstance(atom, str)}
        return atoms

    def set(self, number: int, name: str, values: list[Atom]) -> Answer:
        self._check(f"set {name}")
        target = self._alive(number)
        if target is None:
            return MISSING
        if name not in SHAPES[target.lom_name].settable:
            return self._complain(f"set: {target.lom_name}.{name} cannot be set")
        try:
            setattr(target, name, self._value(values))
        except (RuntimeError, AttributeError, TypeError) as error:
            self._complain(f"set {name}: {error}")
        return None

    def call(self, number: int, name: str, values: list[Atom]) -> Answer:
        self._check(f"call {name}")
        target = self._alive(number)
        if target is None:
            return MISSING
        if name not in SHAPES[target.lom_name].functions or not self._has(target, name):
            return self._complain(f"call: {target.lom_name} has no function {name}")
        if name in HOLLOW:
            return [0]
        try:
            result = getattr(target, name)(*self._arguments(values))
        except (RuntimeError, TypeError) as error:
            return self._complain(f"call {name}: {error}")
        return None if result is None else _atoms(result)

    def observe(self, number: int, name: str) -> None:
        """Listens to a property; the callback is told its value at once."""
        self._check("property")
        handle = self._handles[number]
        handle.stop()
        handle.stop, handle.observed = (lambda: None), name
        target = self._alive(number)
        if target is None or not name:
            return
        if name not in type(target).observable or not self._has(target, name):
            self._complain(f"property: {target.lom_name}.{name} cannot be observed")
            return

        def changed() -> None:
            value = getattr(target, SHAPES[target.lom_name].attribute.get(name, name))
            self._tell(handle, [name, *_atoms(value)])

        getattr(target, f"add_{name}_listener")(changed)
        handle.stop = lambda: self._unlisten(target, name, changed)
        changed()

    def release(self) -> None:
        """The device is gone: nothing is told any more."""
        for handle in self._handles.values():
            handle.stop()
            handle.callback = 0
        self.world.on_deleted.remove(self._forget)

    # How it is done

    def _check(self, what: str) -> None:
        if not self.ready:
            self._break(f"{what}: LiveAPI used before live.thisdevice")
        if self.world.notifying:
            self._break(f"{what}: LiveAPI used inside a notification")

    def _break(self, what: str) -> None:
        self.broken.append(what)
        raise RuleBroken(what)

    def _complain(self, what: str) -> None:
        self.world.console.append(what)

    def _alive(self, number: int) -> LiveObject | None:
        target = self._handles[number].target
        return target if target is not None and target.alive else None

    def _point(self, handle: Handle, path: Atom) -> None:
        observed = handle.observed
        handle.stop()
        handle.stop, handle.observed = (lambda: None), ""
        text = str(path).strip()
        if text.startswith("id ") or text.isdigit():
            handle.target = self.world.objects.get(int(text.removeprefix("id ")))
            handle.path = self._path_of(handle.target)
        else:
            self.symbols.add(text)
            handle.target, handle.path = self._walk(text), text
        self._tell(handle, ["id", handle.id])
        if observed:
            number = next(n for n, item in self._handles.items() if item is handle)
            self.observe(number, observed)

    def _walk(self, path: str) -> LiveObject | None:
        words = path.split()
        roots: dict[str, LiveObject] = {
            "live_set": self.live.song,
            "live_app": self.live.application,
            "this_device": self.device,
        }
        item: object = roots.get(words[0]) if words else None
        for word in words[1:]:
            item = self._step(item, word)
        return item if isinstance(item, LiveObject) and item.alive else None

    def _step(self, item: object, word: str) -> object:
        if isinstance(item, tuple):
            return item[int(word)] if word.isdigit() and int(word) < len(item) else None
        if not isinstance(item, LiveObject) or not item.alive:
            return None
        shape = SHAPES[item.lom_name]
        known = word in (*shape.child, *shape.children) and self._has(item, word)
        return getattr(item, word) if known else None

    def _path_of(self, target: LiveObject | None) -> str:
        return next((path for path, item in self._paths() if item is target), "")

    def _paths(self) -> Iterator[tuple[str, LiveObject]]:
        yield "live_set", self.live.song
        yield "live_set view", self.live.song.view
        for t, track in enumerate(self.live.song.tracks):
            yield f"live_set tracks {t}", track
            for s, slot in enumerate(track.clip_slots):
                yield f"live_set tracks {t} clip_slots {s}", slot
                if slot.clip is not None:
                    yield f"live_set tracks {t} clip_slots {s} clip", slot.clip
            for c, clip in enumerate(track.arrangement_clips):
                yield f"live_set tracks {t} arrangement_clips {c}", clip

    def _has(self, target: LiveObject, name: str) -> bool:
        try:
            getattr(target, SHAPES[target.lom_name].attribute.get(name, name))
        except AttributeError:
            return False
        except RuntimeError:
            return True
        return True

    def _value(self, values: list[Atom]) -> object:
        arguments = self._arguments(values)
        return arguments[0] if len(arguments) == 1 else arguments

    def _arguments(self, values: list[Atom]) -> list[object]:
        """Atoms as Live takes them: ``id 7`` is an object."""
        found: list[object] = []
        rest = list(values)
        while rest:
            atom = rest.pop(0)
            if atom == "id" and rest:
                found.append(self.world.objects.get(int(rest.pop(0))))
            elif isinstance(atom, str) and atom.startswith("id ") and atom[3:].isdigit():
                found.append(self.world.objects.get(int(atom[3:])))
            else:
                found.append(atom)
        return found

    def _tell(self, handle: Handle, atoms: list[Atom]) -> None:
        if handle.callback:
            with self.world.notification():
                self._call_back(handle.callback, atoms)

    def _forget(self, gone: LiveObject) -> None:
        for handle in self._handles.values():
            if handle.target is gone:
                handle.target, handle.stop = None, (lambda: None)
                self._tell(handle, ["id", 0])

    def _unlisten(self, target: LiveObject, name: str, changed: Callable[[], None]) -> None:
        if target.alive:
            getattr(target, f"remove_{name}_listener")(changed)


def _atoms(value: object) -> list[Atom]:
    """A value as Max passes it on."""
    if value is None:
        return ["id", 0]
    if isinstance(value, LiveObject):
        return ["id", value.lom_id]
    if isinstance(value, tuple | list):
        return [atom for item in value for atom in _atoms(item)]
    if isinstance(value, bool):
        return [int(value)]
    if isinstance(value, str):
        return [int(value) if value.isdigit() and value.isascii() else value]
    if isinstance(value, int | float):
        return [value]
    raise TypeError(f"no atom: {value!r}")

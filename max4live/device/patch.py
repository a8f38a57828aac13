"""The device's patch: face, script, network and sound, and the cords between them.

The script decides everything (see README.md beside this file); the patch turns clicks into ``ui …``
messages, shows what the script says, and plays the audition.
"""

from __future__ import annotations

from typing import Final

from max4live.device.controls import ROWS, WIDTH_PX, Face, draw_face
from max4live.device.drawing_board import DrawingBoard
from max4live.device.records import Parameter, Patch
from max4live.device.script import SCRIPT_NAME
from max4live.device.sound import draw_sound

__all__ = ["ENGINE_PORT", "device_patch"]

#: Where ``dawlink serve`` listens unless told otherwise.
ENGINE_PORT: Final = 11110
#: Where the first device listens; the script moves on when it is taken.
OWN_PORT: Final = 11111
_TICK_MS: Final = 100

_TO_ENGINE: Final = 0
_TO_RECEIVER: Final = 1
_TO_PICTURE: Final = 2
_TO_SOUND: Final = 3
_TO_LATER: Final = 4
_TO_STORE: Final = 5
_FROM_ENGINE: Final = 1


def device_patch() -> Patch:
    """The whole device, the same every time."""
    board = DrawingBoard()
    face = draw_face(board)
    board.next_column()
    script = board.add(
        f"js {SCRIPT_NAME}",
        inlets=2,
        outlets=("",) * 6,
        name="script",
        attributes={"saved_object_attributes": {"filename": SCRIPT_NAME, "parameter_enable": 0}},
    )
    _life(board, script)
    _network(board, script)
    _later_and_store(board, script)
    board.next_column()
    _events(board, face, script)
    board.next_column()
    _picture(board, face, script)
    board.next_column()
    loaded = draw_sound(board, script, outlet=_TO_SOUND)
    board.join(loaded, script)
    return Patch(tuple(board.boxes), tuple(board.cords), WIDTH_PX, (SCRIPT_NAME,))


def _life(board: DrawingBoard, script: str) -> None:
    """Begin after Live is there, outside its notifications; then a clock; an end."""
    begin = board.add("t 1 b")
    board.chain(board.add("live.thisdevice"), board.add("deferlow"), begin)
    ready = board.message("ready")
    board.join(begin, ready, outlet=1)
    board.chain(ready, script)
    clock, tick = board.add(f"qmetro {_TICK_MS}"), board.message("tick")
    board.join(begin, clock)
    board.chain(clock, tick, script)
    board.chain(board.add("freebang"), board.message("closing"), script)


def _network(board: DrawingBoard, script: str) -> None:
    sender = board.add(f"udpsend 127.0.0.1 {ENGINE_PORT}")
    receiver = board.add(
        f"udpreceive {OWN_PORT} @defer 1", attributes={"saved_object_attributes": {"defer": 1}}
    )
    board.join(script, sender, outlet=_TO_ENGINE)
    board.join(script, receiver, outlet=_TO_RECEIVER)
    board.join(receiver, script, inlet=_FROM_ENGINE)


def _later_and_store(board: DrawingBoard, script: str) -> None:
    later = board.add("deferlow")
    board.join(script, later, outlet=_TO_LATER)
    board.chain(later, board.add("prepend deferred"), script)
    store = board.add(
        "pattr dawlink_state @parameter_enable 1 @thru 0",
        name="dawlink_state",
        parameter=Parameter("Favourites and rejected", "blob", "stored"),
        attributes={
            "restore": ["v1", 0],
            "saved_object_attributes": {"parameter_enable": 1, "parameter_mappable": 0},
        },
    )
    board.join(script, store, outlet=_TO_STORE)
    board.chain(store, board.add("prepend restore"), script)


def _events(board: DrawingBoard, face: Face, script: str) -> None:
    for name, key in face.buttons.items():
        board.chain(key, board.message(f"ui {name}"), script)
    for name, key in face.choices.items():
        board.chain(key, board.add(f"prepend ui {name}"), script)
    for row, key in enumerate(face.titles, start=1):
        board.chain(key, board.message(f"ui row {row}"), script)


def _picture(board: DrawingBoard, face: Face, script: str) -> None:
    names = [*face.texts, "audition", "favourite", "row"]
    route = board.add("route " + " ".join(names))
    board.join(script, route, outlet=_TO_PICTURE)
    shown = {**face.texts, **{name: face.choices[name] for name in ("audition", "favourite")}}
    for outlet, name in enumerate(names[:-1]):
        setter = board.add("prepend set")
        board.join(route, setter, outlet=outlet)
        board.chain(setter, shown[name])
    rows = board.add("route " + " ".join(str(row) for row in range(1, ROWS + 1)))
    board.join(route, rows, outlet=len(names) - 1)
    for row in range(ROWS):
        _row(board, face, rows, row)


def _row(board: DrawingBoard, face: Face, rows: str, row: int) -> None:
    cells = face.cells[row]
    route = board.add("route title on " + " ".join(cells))
    board.join(rows, route, outlet=row)
    for words in ("prepend text", "prepend texton"):
        label = board.add(words)
        board.join(route, label, outlet=0)
        board.chain(label, face.titles[row])
    lit = board.add("prepend set")
    board.join(route, lit, outlet=1)
    board.chain(lit, face.titles[row])
    for outlet, key in enumerate(cells.values(), start=2):
        setter = board.add("prepend set")
        board.join(route, setter, outlet=outlet)
        board.chain(setter, key)

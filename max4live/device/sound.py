"""The audition's sound: a loop of whole bars that stays in time with Live.

``phasor~ @lock 1`` follows Live's transport to the sample. Over a period of 16384 quarter notes its
phase is the song position; modulo the loop's length it is the place in the loop, and ``play~``
reads the buffer there. So the loop is in time from the first sample, wherever the transport is
started, moved or looped. Where the transport stands, ``groove~`` plays the same buffer freely. Both
are faded in and out over 10 ms and added to what passes through the device.
"""

from __future__ import annotations

from typing import Final

from max4live.device.drawing_board import DrawingBoard

__all__ = ["draw_sound"]

#: Longer than any set: 16384 quarters are more than two hours at 120 BPM.
PERIOD_QUARTERS: Final = 16384
#: Live and Max count 480 ticks to a quarter note.
TICKS_PER_QUARTER: Final = 480
_FADE_MS: Final = 10
#: Name of the buffer; Live puts a number of the device in the place of the dashes.
_BUFFER: Final = "---dawlink_audition"


def draw_sound(board: DrawingBoard, script: str, *, outlet: int) -> str:
    """Put the player down; returns the message box that says ``loaded``.

    Args:
        board: where to draw.
        script: id of the script.
        outlet: its outlet for ``load``, ``loop`` and ``play``.
    """
    route = board.add("route load loop play")
    board.join(script, route, outlet=outlet)
    replace, buffer = board.add("prepend replace"), board.add(f"buffer~ {_BUFFER} 1000 2")
    loaded = board.message("loaded")
    board.chain(route, replace, buffer)
    board.join(buffer, loaded, outlet=1)
    locked = _locked_player(board, route)
    free, restart = _free_player(board)
    _output(board, route, (locked, free), restart)
    return loaded


def _locked_player(board: DrawingBoard, route: str) -> str:
    ticks = PERIOD_QUARTERS * TICKS_PER_QUARTER
    phase = board.add(f"phasor~ @frequency {ticks} ticks @lock 1")
    song, moved = board.add(f"*~ {PERIOD_QUARTERS}."), board.add("+~ 0.")
    inside, place = board.add("%~ 16."), board.add("*~ 500.")
    player = board.add(f"play~ {_BUFFER} 2")
    board.chain(phase, song, moved, inside, place, player)
    numbers = board.add("unpack 0. 0. 0.")
    board.join(route, numbers, outlet=1)
    for number, destination in enumerate((inside, place, moved)):
        board.join(numbers, destination, outlet=number, inlet=1)
    return player


def _free_player(board: DrawingBoard) -> tuple[str, str]:
    player = board.add(f"groove~ {_BUFFER} 2 @loop 1")
    board.chain(board.add("sig~ 1."), player)
    restart = board.message("0")
    board.chain(restart, player)
    return player, restart


def _output(board: DrawingBoard, route: str, players: tuple[str, str], restart: str) -> None:
    through, out = board.add("plugin~"), board.add("plugout~")
    for side in (0, 1):
        board.join(through, out, outlet=side, inlet=side)
    for number, player in enumerate(players, start=1):
        chosen, fade = board.add(f"== {number}"), board.message(f"$1 {_FADE_MS}")
        gain = board.add("line~")
        board.join(route, chosen, outlet=2)
        board.chain(chosen, fade, gain)
        for side in (0, 1):
            level = board.add("*~ 0.")
            board.join(player, level, outlet=side)
            board.join(gain, level, inlet=1)
            board.join(level, out, inlet=side)
    free = board.add("sel 2")
    board.join(route, free, outlet=2)
    board.chain(free, restart)

"""The face of the device: every control and text, with its place [px] and its parameter.

Three panels from left to right: what the engine and the clip are, the list of suggestions, and
what can be done with the picked one. 169 px is all the height that Live gives. Controls that a
person sets are stored with the set; buttons, rows and what the script switches by itself are
hidden from automation and undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from max4live.device.drawing_board import DrawingBoard
from max4live.device.records import Json, Parameter, Rect

__all__ = ["ROWS", "WIDTH_PX", "Face", "draw_face"]

WIDTH_PX: Final = 628.0
#: Suggestions on a page.
ROWS: Final = 8

_BUTTON: Final = 0
_TOGGLE: Final = 1
_LEFT: Final = 0
_CENTRE: Final = 1
_RIGHT: Final = 2

_NOTES: Final = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_KEYS: Final = (
    "As in the set",
    *(f"{note} major" for note in _NOTES),
    *(f"{note} minor" for note in _NOTES),
)
_ROLES: Final = ("Harmonic + drums", "Harmonic", "Drums", "Bass", "Other", "All")
_BARS: Final = ("1 bar", "2 bars", "4 bars", "8 bars", "16 bars")
_TARGETS: Final = ("New track", "Free slot here")

#: Columns of the list: title, x, width, alignment.
_COLUMNS: Final = (
    ("Role", 358.0, 66.0, _LEFT),
    ("Fit", 424.0, 32.0, _RIGHT),
    ("Semi", 456.0, 32.0, _RIGHT),
    ("Stretch", 488.0, 46.0, _RIGHT),
)
_TITLE_X: Final = 184.0
_TITLE_WIDTH: Final = 172.0
_FIRST_ROW_Y: Final = 19.0
_ROW_PX: Final = 15.0


@dataclass(frozen=True)
class Face:
    """Ids of the boxes that are wired to the script.

    Args:
        texts: what the script writes, by widget name.
        buttons: what a person presses, by the event's name.
        choices: what a person sets, by the event's name; the value follows.
        titles: the button of each row.
        cells: role, fit, semi and stretch of each row.
    """

    texts: dict[str, str]
    buttons: dict[str, str]
    choices: dict[str, str]
    titles: tuple[str, ...]
    cells: tuple[dict[str, str], ...]


def draw_face(board: DrawingBoard) -> Face:
    """Put every visible box down."""
    face = Face({}, {}, {}, (), ())
    _engine_and_clip(board, face)
    titles, cells = _list(board, face)
    _actions(board, face)
    return Face(face.texts, face.buttons, face.choices, titles, cells)


def _engine_and_clip(board: DrawingBoard, face: Face) -> None:
    face.texts["engine"] = _text(board, "engine", Rect(6, 4, 170, 15), "Starting.")
    _text(board, "", Rect(6, 22, 62, 15), "Engine port")
    face.choices["engineport"] = _port(board, Rect(70, 22, 42, 15))
    face.choices["follow"] = _switch(
        board, "follow", "Follow", Rect(116, 22, 58, 15), initial=1,
        info="On: each clip that you select is looked at, and suggestions are asked for.",
    )  # fmt: skip
    board.add("", maxclass="live.line", shown=Rect(8, 41, 166, 5))
    face.texts["clip"] = _text(board, "clip", Rect(6, 49, 170, 15), "")
    face.texts["tempo"] = _text(board, "tempo", Rect(6, 69, 66, 15), "")
    for name, label, x in (("half", "/2", 112.0), ("double", "x2", 145.0)):
        face.buttons[name] = _button(
            board, name, label, Rect(x, 69, 29, 15),
            info="An unwarped clip's beats are counted half as fast." if name == "half"
            else "An unwarped clip's beats are counted twice as fast.",
        )  # fmt: skip
    face.texts["clipkey"] = _text(board, "clipkey", Rect(6, 89, 66, 15), "")
    face.choices["key"] = _menu(
        board, "key", _KEYS, Rect(74, 89, 100, 15),
        info="The key that suggestions are brought to.",
    )  # fmt: skip
    _text(board, "", Rect(6, 109, 66, 15), "Look for")
    face.choices["roles"] = _menu(
        board, "roles", _ROLES, Rect(74, 109, 100, 15), info="Which stems are looked for."
    )
    face.buttons["suggest"] = _button(
        board, "suggest", "Suggest", Rect(8, 136, 166, 24),
        info="Ranks your stems under the selected clip.",
    )  # fmt: skip


def _list(board: DrawingBoard, face: Face) -> tuple[tuple[str, ...], tuple[dict[str, str], ...]]:
    _text(board, "", Rect(_TITLE_X, 3, _TITLE_WIDTH, 15), "Suggestion")
    for title, x, width, side in _COLUMNS:
        _text(board, "", Rect(x, 3, width, 15), title, side=side)
    titles, cells = [], []
    for row in range(1, ROWS + 1):
        y = _FIRST_ROW_Y + (row - 1) * _ROW_PX
        titles.append(_row_title(board, row, Rect(_TITLE_X, y, _TITLE_WIDTH, 14)))
        cells.append(
            {
                title.lower(): _text(
                    board, f"{title.lower()}{row}", Rect(x, y, width, 14), "", side=side
                )
                for title, x, width, side in _COLUMNS
            }
        )
    face.buttons["previous"] = _button(
        board, "previous", "<", Rect(184, 145, 22, 17), info="The eight before."
    )
    face.texts["page"] = _text(board, "page", Rect(208, 146, 34, 15), "1/1", side=_CENTRE)
    face.buttons["next"] = _button(
        board, "next", ">", Rect(244, 145, 22, 17), info="The next eight."
    )
    face.texts["message"] = _text(board, "message", Rect(272, 140, 264, 27), "", lines=2)
    return tuple(titles), tuple(cells)


def _actions(board: DrawingBoard, face: Face) -> None:
    face.choices["audition"] = _switch(
        board, "audition", "Audition", Rect(544, 4, 76, 20), hidden=True,
        info="Plays the picked suggestion in this device, in time with Live.",
    )  # fmt: skip
    face.choices["withclip"] = _switch(
        board, "withclip", "With clip", Rect(544, 28, 76, 15),
        info="The audition contains the clip as well.",
    )  # fmt: skip
    face.choices["bars"] = _menu(
        board, "bars", _BARS, Rect(544, 46, 76, 15), initial=3, info="Length of the audition."
    )
    board.add("", maxclass="live.line", shown=Rect(544, 64, 76, 5))
    face.choices["target"] = _menu(
        board, "target", _TARGETS, Rect(544, 72, 76, 15),
        info="Where Insert puts the stems: on new audio tracks, or in free slots of this track.",
    )  # fmt: skip
    face.buttons["insert"] = _button(
        board, "insert", "Insert", Rect(544, 90, 76, 20),
        info="Renders the picked suggestion at the set's tempo and key, and makes clips of it.",
    )  # fmt: skip
    board.add("", maxclass="live.line", shown=Rect(544, 113, 76, 5))
    face.choices["favourite"] = _switch(
        board, "favourite", "Favourite", Rect(544, 122, 76, 17), hidden=True,
        info="Marks the picked suggestion with a star, for this set.",
    )  # fmt: skip
    face.buttons["reject"] = _button(
        board, "reject", "Reject", Rect(544, 144, 76, 17),
        info="Takes the picked suggestion out of the list, for this set.",
    )  # fmt: skip


def _text(
    board: DrawingBoard, name: str, shown: Rect, text: str, *, side: int = _LEFT, lines: int = 1
) -> str:
    attributes: dict[str, Json] = {"textjustification": side}
    if lines > 1:
        attributes["linecount"] = lines
    return board.add(
        text or " ", maxclass="live.comment", shown=shown, name=name, attributes=attributes
    )


def _button(board: DrawingBoard, name: str, label: str, shown: Rect, *, info: str) -> str:
    parameter = Parameter(_label(name), "choice", "hidden", ("off", "on"))
    return _live_text(board, name, label, shown, parameter, mode=_BUTTON, info=info)


def _switch(
    board: DrawingBoard, name: str, label: str, shown: Rect, *, info: str,
    initial: int = 0, hidden: bool = False,
) -> str:  # fmt: skip
    visibility: Literal["stored", "hidden"] = "hidden" if hidden else "stored"
    parameter = Parameter(_label(name), "choice", visibility, ("off", "on"), initial)
    return _live_text(board, name, label, shown, parameter, mode=_TOGGLE, info=info)


def _row_title(board: DrawingBoard, row: int, shown: Rect) -> str:
    parameter = Parameter(f"Row {row}", "choice", "hidden", ("off", "on"))
    info = "Picks this suggestion."
    return _live_text(board, f"title{row}", " ", shown, parameter, mode=_TOGGLE, info=info)


def _live_text(
    board: DrawingBoard, name: str, label: str, shown: Rect, parameter: Parameter,
    *, mode: int, info: str,
) -> str:  # fmt: skip
    attributes: dict[str, Json] = {"annotation": info, "mode": mode, "texton": label}
    return board.add(
        label, maxclass="live.text", shown=shown, name=name, parameter=parameter,
        attributes=attributes,
    )  # fmt: skip


def _menu(
    board: DrawingBoard, name: str, choices: tuple[str, ...], shown: Rect,
    *, info: str, initial: int = 0,
) -> str:  # fmt: skip
    parameter = Parameter(_label(name), "choice", "stored", choices, initial)
    return board.add(
        "", maxclass="live.menu", shown=shown, name=name, parameter=parameter,
        attributes={"annotation": info},
    )  # fmt: skip


def _port(board: DrawingBoard, shown: Rect) -> str:
    parameter = Parameter(
        "Engine port", "number", "stored", initial=11110, lowest=1024, highest=65535
    )
    return board.add(
        "", maxclass="live.numbox", shown=shown, name="engineport", parameter=parameter,
        attributes={"annotation": "The port that dawlink serve listens on."},
    )  # fmt: skip


def _label(name: str) -> str:
    return {"withclip": "With clip", "half": "Half tempo", "double": "Double tempo"}.get(
        name, name.capitalize()
    )

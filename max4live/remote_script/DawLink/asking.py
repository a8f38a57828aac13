"""What the engine is told and asked: the set, the clip, suggestions; and what its answers hold.

Every method that waits is part of a job (see ``engine``): it yields requests, returns what came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .clip import Refused
from .engine import LONG_TICKS, Ask
from .project import project_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    from .clip import SelectedClip
    from .engine import Answer, Engine
    from .shapes import Song, Value

    Found = TypeVar("Found")
    Steps = Generator[Ask, Answer, Found]
    Hits = dict[Value, list[list[Value]]]

#: Quarters in a bar of the engine that was told of none, and the most that it takes.
OWN_BAR, LONGEST_BAR = 4, 12


class Suggestion:
    """The hits of one rank."""

    def __init__(self, hits: list[list[Value]]) -> None:
        self.hits = hits
        self.ids = " ".join(str(hit[1]) for hit in hits)
        self.score = float(hits[0][2])
        self.offset_beats = float(hits[0][7])
        self.bars = max(int(hits[0][8]), 1)

    def told(self) -> list[dict[str, Value]]:
        """One line for each stem, as JSON has it."""
        return [
            {"title": hit[4], "role": hit[3], "stretch": hit[5], "semitones": hit[6]}
            for hit in self.hits
        ]


class Asking:
    """One set's side of the talk with the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._told: dict[str, tuple[Value, ...]] = {}
        self._life = 0
        #: Quarters that the engine counts in a bar.
        self.bar_beats = OWN_BAR

    def tell_session(self, song: Song, clip_path: str) -> None:
        """Sends what the engine does not know of the set yet."""
        if self._life != self._engine.life:
            self._life, self._told, self.bar_beats = self._engine.life, {}, OWN_BAR
        root, scale = -1, "Major"
        # Only Live 12.0.5 and later say whether the set's scale is meant.
        if getattr(song, "scale_mode", False):
            root, scale = int(song.root_note), str(song.scale_name)
        self._tell("/dawlink/set/tempo", float(song.tempo))
        self._tell(
            "/dawlink/set/signature", int(song.signature_numerator), int(song.signature_denominator)
        )
        self.bar_beats = whole_bar(song) or self.bar_beats
        self._tell("/dawlink/set/key", root, scale)
        try:
            self._tell("/dawlink/set/project", str(project_folder(song, clip_path)))
        except Refused:
            self._tell("/dawlink/set/project", "")

    def _tell(self, address: str, *values: Value) -> None:
        if self._told.get(address) != values:
            self._told[address] = values
            self._engine.tell(address, *values)

    def introduce(self, clip: SelectedClip) -> Steps[tuple[str, float]]:
        """Tells the engine of the clip and gets its id and its tempo [BPM].

        A warped one is told of twice: it can be analysed only along markers that have come.
        """
        start, end = (float(clip.start), float(clip.end))
        about: list[Value] = [clip.path, int(clip.warped), start, end, clip.pitch, clip.gain_db]
        answer = yield Ask("/dawlink/clip", about, wait_ticks=LONG_TICKS)
        if len(clip.markers) > 1:
            count, clip_id = len(clip.markers), str(answer.values[0])
            messages: list[list[Value]] = [
                [clip_id, i, count, *point] for i, point in enumerate(clip.markers)
            ]
            yield Ask("/dawlink/clip/warp", *messages, wait_ticks=LONG_TICKS)
            answer = yield Ask("/dawlink/clip", about, wait_ticks=LONG_TICKS)
        return str(answer.values[0]), float(answer.values[1])

    def suggest(self, clip_id: str, limit: int, roles: str) -> Steps[list[Suggestion]]:
        """The suggestions. Ranks of which a packet was lost are asked for again."""
        answer = yield Ask("/dawlink/suggest", [clip_id, limit, roles], wait_ticks=LONG_TICKS)
        hits = hits_of(answer)
        most = max([len(found) for found in hits.values()] or [1])
        count = int(answer.values[0])
        if sum(len(found) for found in hits.values()) < count:
            ranks = range(1, -(-count // most) + 1)
            for rank in [r for r in ranks if len(hits.get(r, ())) < most]:
                again = yield Ask("/dawlink/suggest/get", [answer.number, rank])
                hits.update(hits_of(again))
        return [Suggestion(hits[rank]) for rank in sorted(hits)]


def whole_bar(song: Song) -> int:
    """Quarters of the set's bar; 0 where the engine refuses it and keeps its own."""
    quarters, rest = divmod(4 * int(song.signature_numerator), int(song.signature_denominator))
    return quarters if not rest and quarters <= LONGEST_BAR else 0


def hits_of(answer: Answer) -> Hits:
    """Rank to its hits, each once."""
    found: Hits = {}
    for address, values in answer.parts:
        if address == "/dawlink/suggest/hit" and len(values) == 9:
            hits = found.setdefault(values[0], [])
            if all(hit[1] != values[1] for hit in hits):
                hits.append(values)
    return found


def files_of(answer: Answer) -> dict[str, list[str]]:
    """Kind to its paths, each once."""
    found: dict[str, list[str]] = {}
    for address, values in answer.parts:
        if address == "/dawlink/render/file" and len(values) == 2:
            paths = found.setdefault(str(values[0]), [])
            if values[1] not in paths:
                paths.append(str(values[1]))
    return found

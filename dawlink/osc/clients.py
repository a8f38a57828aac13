"""What the engine knows of each client: where answers go, its session, its clips and answers.

A client is the address that it sends from. All of it is bounded: the least recently seen client,
clip or answer makes room for a new one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from dawlink.osc.faults import ErrorCode, Fault

if TYPE_CHECKING:
    from dawlink.osc.exchange import Exchange
    from engine.clips.clip import ClipRequest
    from engine.suggestions import SuggestReply
    from engine.theory import Key

__all__ = ["Address", "Answered", "Client", "Clients", "LiveClip", "LiveSession", "clip_id_for"]

Address = tuple[str, int]
Entry = TypeVar("Entry")

MOST_CLIENTS: Final = 256
MOST_CLIPS: Final = 32
#: Answers to suggest that are kept for audition, render and suggest/get.
MOST_ANSWERS: Final = 8
MOST_MARKERS: Final = 4096


@dataclass(frozen=True)
class LiveSession:
    """The session of a client; None where it has said nothing."""

    tempo_bpm: float | None = None
    beats_per_bar: int | None = None
    key: Key | None = None
    project: Path | None = None


@dataclass(frozen=True)
class LiveClip:
    """A clip as the DAW has it.

    Args:
        clip_id: begins with ``c``; the same for the same path and region.
        path: the file.
        warped: whether ``start`` and ``end`` are beats rather than seconds.
        start: of the region.
        end: of the region; 0 with start 0 is the whole file.
        pitch: semitones that the DAW applies.
        gain_db: what the DAW turns it up by.
        markers: (seconds, beat) once they have come.
        counted: beats are counted this many times as fast as they were heard [1/8, 8].
    """

    clip_id: str
    path: Path
    warped: bool
    start: float
    end: float
    pitch: int
    gain_db: float
    markers: tuple[tuple[float, float], ...] = ()
    counted: float = 1.0

    @property
    def awaits_markers(self) -> bool:
        """Where its beats lie is not known yet."""
        return self.warped and not self.markers

    def request(self, beats_per_bar: int | None) -> ClipRequest:
        """What the engine analyses. A warped clip without markers is taken as the whole file.

        Args:
            beats_per_bar: of the session; None where it has said nothing: a warped clip's bars
                have four beats then, any other's as many as are heard.

        Raises:
            UsageError: the region or the markers cannot be meant.
        """
        from engine.clips.clip import BeatMap, ClipRequest

        if self.markers:
            beat_map = BeatMap(self.markers, self.start, self.end, beats_per_bar or 4)
            return ClipRequest.warped(self.path, beat_map, gain_db=self.gain_db)
        whole = self.warped or (self.start == 0 and self.end == 0)
        return ClipRequest(
            self.path,
            start_s=0.0 if whole else self.start,
            end_s=None if whole else self.end,
            gain_db=self.gain_db,
            beats_per_bar=None if beats_per_bar == 1 else beats_per_bar,  # a metre has two or more
        )


@dataclass(frozen=True, eq=False)
class Answered:
    """An answer to suggest, with the clip and session that it was made for."""

    clip: LiveClip
    session: LiveSession
    reply: SuggestReply


@dataclass(eq=False)
class MarkerTransfer:
    """Warp markers that are coming in."""

    count: int
    found: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(eq=False)
class Client:
    """One client. Only the event loop's thread changes it."""

    source: Address
    reply_to: Address
    name: str = ""
    greeted: bool = False
    heard: int = 0
    session: LiveSession = field(default_factory=LiveSession)
    clips: OrderedDict[str, LiveClip] = field(default_factory=OrderedDict)
    transfers: OrderedDict[tuple[str, int], MarkerTransfer] = field(default_factory=OrderedDict)
    answers: OrderedDict[int, Answered] = field(default_factory=OrderedDict)
    exchanges: OrderedDict[int, Exchange] = field(default_factory=OrderedDict)

    def clip(self, clip_id: str) -> LiveClip:
        """A clip that this client named before.

        Raises:
            Fault: it did not, or long ago.
        """
        found = self.clips.get(clip_id)
        if found is None:
            raise Fault(
                ErrorCode.NOT_ANALYSED,
                "unknown_clip",
                f"There is no clip {clip_id[:40]!r}. Send /dawlink/clip first.",
            )
        self.clips.move_to_end(clip_id)
        return found

    def keep_clip(self, clip: LiveClip) -> None:
        """Know this clip from now on."""
        _keep(self.clips, clip.clip_id, clip, MOST_CLIPS)

    def keep_answer(self, req: int, answered: Answered) -> None:
        """Remember an answer for what is asked about it."""
        _keep(self.answers, req, answered, MOST_ANSWERS)

    def transfer(self, clip_id: str, req: int, count: int) -> MarkerTransfer:
        """The markers that come in under ``req``."""
        key = (clip_id, req)
        found = self.transfers.get(key)
        if found is None or found.count != count:
            found = MarkerTransfer(count)
            _keep(self.transfers, key, found, 4)
        return found

    @property
    def running(self) -> Iterator[Exchange]:
        """Requests that are not ended."""
        return (exchange for exchange in list(self.exchanges.values()) if not exchange.ended)


class Clients:
    """Every client by the address that it sends from."""

    def __init__(self) -> None:
        self._known: OrderedDict[Address, Client] = OrderedDict()

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._known.values()))

    def get(self, source: Address) -> Client:
        """The client at ``source``, new if need be."""
        found = self._known.get(source)
        if found is None:
            while len(self._known) >= MOST_CLIENTS:
                self._drop_idlest()
            found = self._known[source] = Client(source, source)
        self._known.move_to_end(source)
        return found

    def find(self, source: Address) -> Client | None:
        """The client at ``source`` if it is known."""
        return self._known.get(source)

    def speaker_at(self, source: Address) -> Client | None:
        """The client that may be speaking from ``source``, a socket that never said hello.

        Programs like ``oscsend`` open a socket for every message. One that named a reply port in
        its hello and was never heard again from that socket is taken for the speaker of what comes
        from other sockets of its host; the latest of several.
        """
        if source in self._known:
            return None
        return next(
            (
                client
                for client in reversed(self._known.values())
                if client.greeted
                and client.heard == 0
                and client.reply_to != client.source
                and client.source[0] == source[0]
            ),
            None,
        )

    def greet(self, client: Client, reply_to: Address) -> None:
        """A client said hello: whoever had its reply port before is gone."""
        for other in self:
            if other is not client and other.reply_to == reply_to:
                self.forget(other)
        client.reply_to = reply_to
        client.greeted = True
        client.heard = 0

    def forget(self, client: Client) -> None:
        """Stop what it asked for and forget it."""
        self._known.pop(client.source, None)
        for exchange in client.running:
            exchange.abandon()

    def _drop_idlest(self) -> None:
        """Strangers before those who said hello, the idle before those who wait for something."""
        everybody = list(self)  # the least recently seen first
        self.forget(min(everybody, key=lambda client: (client.greeted, any(client.running))))


def clip_id_for(path: Path, *, warped: bool, start: float, end: float, counted: float = 1.0) -> str:
    """The id of a region of a file, counted this many times as fast as it was heard."""
    text = repr((str(path), warped, start, end, counted))
    return "c" + hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


Place = TypeVar("Place")


def _keep(table: OrderedDict[Place, Entry], key: Place, entry: Entry, most: int) -> None:
    table[key] = entry
    table.move_to_end(key)
    while len(table) > most:
        table.popitem(last=False)

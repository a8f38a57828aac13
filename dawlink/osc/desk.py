"""Which request is answered how: at once, or by work in threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatchmethod
from itertools import pairwise
from typing import Final

from dawlink.osc.answers import (
    ByeDone,
    CancelDone,
    ClipWarpDone,
    InsertedDone,
    StatusDone,
    SuggestEnd,
)
from dawlink.osc.asking import Asking, hits_of
from dawlink.osc.clients import MOST_MARKERS, Client
from dawlink.osc.exchange import Exchange
from dawlink.osc.faults import ErrorCode, Fault
from dawlink.osc.jobtable import JobTable
from dawlink.osc.making import Making
from dawlink.osc.paths import project_folder
from dawlink.osc.requests import (
    Audition,
    Bye,
    Cancel,
    Clip,
    ClipTempo,
    ClipWarp,
    Inserted,
    Render,
    SetKey,
    SetProject,
    SetSignature,
    SetTempo,
    Status,
    Suggest,
    SuggestGet,
)
from dawlink.osc.runfile import living_engines
from dawlink.osc.scales import key_of
from dawlink.osc.schema import Message
from dawlink.osc.service import EngineService
from dawlink.osc.workers import Workers

__all__ = ["PROTOCOL", "Desk"]

PROTOCOL: Final = 1
_SLOWEST_BPM, _FASTEST_BPM = 20.0, 400.0

#: Requests that are put off while too many others are worked on.
_WORK: Final = (Clip, ClipTempo, Suggest, Audition, Render, Inserted)


class Desk:
    """Answers requests. Only the event loop's thread calls it."""

    def __init__(self, service: EngineService, workers: Workers, jobs: JobTable) -> None:
        self._service = service
        self._workers = workers
        self._jobs = jobs
        self._asking = Asking(service, workers)
        self._making = Making(service, workers, jobs)
        self._state: Callable[[], tuple[str, int]] = lambda: ("loading", 0)

    def bind(self, state: Callable[[], tuple[str, int]]) -> None:
        """Where status comes from: (state, requests being worked on)."""
        self._state = state

    def recover(self) -> None:
        """Clear away what killed daemons left; runs in a thread."""
        from engine.staging import sweep_staging

        self._making.sweep()
        for folder in self._jobs.recover(living_engines()):
            for place in (folder, *folder.glob("take *")):
                sweep_staging(place, idle=True)

    def record_interrupted(self) -> None:
        """The daemon is about to go away."""
        self._making.stop_ahead()
        self._jobs.interrupt()

    def close(self) -> None:
        """The daemon goes away."""
        self._making.close()

    def note(self, client: Client, message: Message) -> None:
        """A change of the client's session.

        Raises:
            Fault: it cannot be meant. The session stays as it was, only a project that cannot be
                used is none: the client has left the one before.
        """
        session = client.session
        if isinstance(message, SetTempo):
            session = replace(session, tempo_bpm=_tempo(message.bpm))
        elif isinstance(message, SetSignature):
            session = replace(session, beats_per_bar=_beats_per_bar(message))
        elif isinstance(message, SetKey):
            session = replace(session, key=key_of(message.root, message.scale))
        elif isinstance(message, SetProject):
            client.session = replace(session, project=None)
            session = replace(session, project=project_folder(message.folder))
        client.session = session

    @staticmethod
    def take_piece(client: Client, message: Message) -> bool:
        """Keep a warp marker; False when the message is no piece, the last one, or a bad one."""
        if not isinstance(message, ClipWarp) or message.clip_id not in client.clips:
            return False
        if not _can_be(message):
            return False
        transfer = client.transfer(message.clip_id, message.req, message.count)
        transfer.found[message.index] = (message.sec, message.beat)
        return len(transfer.found) < message.count

    @staticmethod
    def is_rest(client: Client, message: Message, before: Exchange) -> bool:
        """Whether a message is another piece of what ``before`` has answered."""
        whole = before.request
        if not isinstance(message, ClipWarp) or not isinstance(whole, ClipWarp):
            return False
        if (message.clip_id, message.count) != (whole.clip_id, whole.count):
            return False
        known = client.clips.get(message.clip_id)
        if before.failed or known is None:
            return True
        return known.markers[message.index : message.index + 1] == ((message.sec, message.beat),)

    @staticmethod
    def needs_work(message: Message) -> bool:
        """Whether :meth:`answer_now` leaves it to :meth:`answer`."""
        return isinstance(message, _WORK)

    def answer_now(self, exchange: Exchange) -> bool:
        """Answer what needs no work; False for what does.

        Raises:
            Fault: the request cannot be meant.
        """
        return self._at_once(exchange.request, exchange)

    async def answer(self, exchange: Exchange) -> None:
        """Answer what needs work.

        Raises:
            Fault, DawlinkError: it cannot be done.
            Stopped: it was cancelled.
        """
        message = exchange.request
        if isinstance(message, Clip):
            await self._asking.clip(exchange, message)
        elif isinstance(message, ClipTempo):
            await self._asking.count(exchange, message)
        elif isinstance(message, Suggest):
            answered = await self._asking.suggest(exchange, message)
            self._making.look_ahead(exchange.client, answered)
        elif isinstance(message, Audition):
            await self._making.audition(exchange, message)
        elif isinstance(message, Render):
            await self._making.render(exchange, message)
        elif isinstance(message, Inserted):
            await self._workers.run("quick", lambda: self._note_insertion(exchange, message))
            exchange.end(InsertedDone(exchange.req))

    @singledispatchmethod
    def _at_once(self, message: Message, exchange: Exchange) -> bool:
        if isinstance(message, Clip):
            self._asking.check_clip(exchange.client, message)
            self._making.drop_auditions(exchange.client, but=exchange)
        elif isinstance(message, Audition):
            self._making.drop_auditions(exchange.client, but=exchange)
        return False

    @_at_once.register
    def _bye(self, _message: Bye, exchange: Exchange) -> bool:
        for other in exchange.client.running:
            if other is not exchange:
                other.cancel()
        exchange.end(ByeDone(exchange.req))
        self._making.forget(exchange.client)
        exchange.client.greeted = False
        exchange.client.clips.clear()
        exchange.client.answers.clear()
        exchange.client.session = type(exchange.client.session)()
        return True

    @_at_once.register
    def _cancel(self, message: Cancel, exchange: Exchange) -> bool:
        job = exchange.client.exchanges.get(message.job_req)
        if job is not None and job is not exchange:
            job.cancel()
        exchange.end(CancelDone(exchange.req))
        return True

    @_at_once.register
    def _status(self, _message: Status, exchange: Exchange) -> bool:
        state, jobs = self._state()
        load = self._workers.load
        exchange.end(StatusDone(exchange.req, state, jobs, self._service.songs, load))
        return True

    @_at_once.register
    def _suggest_get(self, message: SuggestGet, exchange: Exchange) -> bool:
        answered = exchange.client.answers.get(message.of_req)
        if answered is None:
            raise Fault(
                ErrorCode.NOT_ANALYSED,
                "unknown_answer",
                f"There is no answer to request {message.of_req} any more. Suggest again.",
            )
        hits = [hit for hit in hits_of(exchange.req, answered) if hit.rank == message.rank]
        if not hits:
            raise Fault(
                ErrorCode.BAD_ARGUMENTS, "bad_rank", f"There is no suggestion {message.rank}."
            )
        for hit in hits:
            exchange.send(hit)
        exchange.end(SuggestEnd(exchange.req, len(hits)), parts=lambda: hits)
        return True

    @_at_once.register
    def _warp(self, message: ClipWarp, exchange: Exchange) -> bool:
        client = exchange.client
        client.clip(message.clip_id)
        if not _can_be(message):
            raise Fault(
                ErrorCode.BAD_ARGUMENTS,
                "bad_marker",
                f"Marker {message.index} of {message.count} cannot be; "
                f"there are 2 to {MOST_MARKERS}, counted from 0.",
            )
        transfer = client.transfers.pop((message.clip_id, message.req))
        markers = tuple(transfer.found[index] for index in range(transfer.count))
        client.keep_clip(replace(client.clip(message.clip_id), markers=_rising(markers)))
        exchange.end(ClipWarpDone(exchange.req, message.clip_id))
        self._asking.analyse_ahead(client, message.clip_id)
        return True

    def _note_insertion(self, exchange: Exchange, message: Inserted) -> None:
        asked: dict[str, object] = {"ok": message.ok, "implied_bpm": message.implied_bpm}
        job_id = self._jobs.begin(
            client=exchange.client.name, req=exchange.req, kind="inserted", folder=None, asked=asked
        )
        self._jobs.end(job_id, "done" if message.ok else "failed")


def _tempo(bpm: float) -> float:
    if not _SLOWEST_BPM <= bpm <= _FASTEST_BPM:
        raise Fault(
            ErrorCode.BAD_ARGUMENTS,
            "bad_tempo",
            f"A tempo of {bpm:g} BPM is outside {_SLOWEST_BPM:g}..{_FASTEST_BPM:g} BPM.",
        )
    return round(bpm, 4)  # 32-bit numbers write 104.1 as 104.09999847


def _beats_per_bar(message: SetSignature) -> int:
    quarters = 4 * message.numerator
    possible = message.denominator in (1, 2, 4, 8, 16) and quarters % message.denominator == 0
    if not possible or not 1 <= quarters // message.denominator <= 12:
        raise Fault(
            ErrorCode.BAD_ARGUMENTS,
            "bad_signature",
            f"{message.numerator}/{message.denominator} is not 1 to 12 whole quarter notes a bar.",
        )
    return quarters // message.denominator


def _can_be(marker: ClipWarp) -> bool:
    return 2 <= marker.count <= MOST_MARKERS and 0 <= marker.index < marker.count


def _rising(markers: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if not all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(markers)):
        raise Fault(
            ErrorCode.BAD_ARGUMENTS,
            "bad_markers",
            "Warp markers must rise in seconds and in beats from index to index.",
        )
    return markers

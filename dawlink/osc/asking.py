"""Clips and suggestions: the quick half of the requests that need work."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Final

from dawlink.osc.answers import ClipDone, ClipTempoDone, SuggestBegin, SuggestEnd, SuggestHit
from dawlink.osc.clients import Answered, Client, LiveClip, LiveSession, clip_id_for
from dawlink.osc.exchange import Exchange
from dawlink.osc.faults import ErrorCode, Fault
from dawlink.osc.paths import clip_file
from dawlink.osc.requests import Clip, ClipTempo, Suggest
from dawlink.osc.service import EngineService
from dawlink.osc.workers import Lane, Workers

__all__ = ["Asking", "hits_of"]

_MOST_SUGGESTIONS: Final = 100
#: Longest region of a file [s] or clip [beats] that can be meant.
_FARTHEST: Final = 1e5
_LOWEST_DB, _HIGHEST_DB = -70.0, 24.0
_SLOWEST, _FASTEST = 1 / 8, 8.0
#: After so many hits the receiver gets a moment to empty its socket.
_HITS_AT_ONCE: Final = 32
_PAUSE_S: Final = 0.001


class Asking:
    """Answers ``clip`` and ``suggest``."""

    def __init__(self, service: EngineService, workers: Workers) -> None:
        self._service = service
        self._workers = workers
        self._ahead: set[asyncio.Task[None]] = set()

    def check_clip(self, client: Client, message: Clip) -> None:
        """Know the clip from now on; its markers stay when it was known before.

        Raises:
            Fault: a path, region, pitch or gain that cannot be meant.
        """
        clip = _clip_of(message)
        before = client.clips.get(clip.clip_id)
        client.keep_clip(clip if before is None else replace(clip, markers=before.markers))

    async def clip(self, exchange: Exchange, message: Clip) -> None:
        """Analyse the clip; a warped one without markers is only guessed at."""
        client = exchange.client
        clip, session = client.clip(_clip_of(message).clip_id), client.session
        find = self._service.guess if clip.awaits_markers else self._service.facts
        lane = "quick" if clip.awaits_markers else self.lane(clip, session)
        facts = await self._workers.run(lane, lambda: find(clip, session))
        exchange.end(
            ClipDone(
                exchange.req, clip.clip_id, facts.bpm, facts.root, facts.mode, facts.confidence
            )
        )

    async def count(self, exchange: Exchange, message: ClipTempo) -> None:
        """The clip, counted twice or half as fast."""
        client = exchange.client
        clip, session = client.clip(message.clip_id), client.session
        counted = clip.counted * message.factor
        if message.factor not in (0.5, 2.0) or not _SLOWEST <= counted <= _FASTEST:
            raise Fault(
                ErrorCode.BAD_ARGUMENTS, "bad_factor", "Beats are counted ×2 or ÷2, up to ×8 or ÷8."
            )
        if clip.warped:
            raise Fault(
                ErrorCode.BAD_ARGUMENTS,
                "warped",
                "Live decides how a warped clip is counted. Use ×2 and ÷2 in its clip view.",
            )
        clip_id = clip_id_for(
            clip.path, warped=False, start=clip.start, end=clip.end, counted=counted
        )
        made = replace(clip, clip_id=clip_id, counted=counted)
        lane = self.lane(made, session)
        facts = await self._workers.run(lane, lambda: self._service.facts(made, session))
        client.keep_clip(made)
        exchange.end(ClipTempoDone(exchange.req, clip_id, facts.bpm))

    def lane(self, clip: LiveClip, session: LiveSession) -> Lane:
        """Where a question about a clip is worked on: never behind the analysis of another."""
        return "quick" if self._service.knows(clip, session) else "analysis"

    def analyse_ahead(self, client: Client, clip_id: str) -> None:
        """The markers have come: analyse before somebody waits for it."""
        clip, session = client.clip(clip_id), client.session

        async def analyse() -> None:
            with contextlib.suppress(Exception):  # who asks for it gets the error
                await self._workers.run("analysis", lambda: self._service.analyse(clip, session))

        task = asyncio.get_running_loop().create_task(analyse())
        self._ahead.add(task)
        task.add_done_callback(self._ahead.discard)

    async def suggest(self, exchange: Exchange, message: Suggest) -> Answered:
        """Rank, and send one hit per stem."""
        client = exchange.client
        clip, session = client.clip(message.clip_id), client.session
        if not 0 <= message.limit <= _MOST_SUGGESTIONS:
            raise Fault(
                ErrorCode.BAD_ARGUMENTS,
                "bad_limit",
                f"{message.limit} suggestions are outside 0..{_MOST_SUGGESTIONS}.",
            )
        answered = await self._workers.run(
            self.lane(clip, session),
            lambda: self._service.suggest(clip, session, roles=message.roles, limit=message.limit),
        )
        exchange.stop.check()
        client.keep_answer(exchange.req, answered)
        hits = hits_of(exchange.req, answered)
        exchange.send(SuggestBegin(exchange.req, len(hits)))
        for number, hit in enumerate(hits, start=1):
            exchange.send(hit)
            if number % _HITS_AT_ONCE == 0:
                await asyncio.sleep(_PAUSE_S)
        exchange.end(SuggestEnd(exchange.req, len(hits)), parts=lambda: _retold(exchange))
        return answered


def _retold(exchange: Exchange) -> list[SuggestBegin | SuggestHit]:
    """What came before the end, as long as the answer is kept: nobody keeps its messages."""
    answered = exchange.client.answers.get(exchange.req)
    hits = hits_of(exchange.req, answered) if answered is not None else []
    return [SuggestBegin(exchange.req, len(hits)), *hits] if hits else []


def hits_of(req: int, answered: Answered) -> list[SuggestHit]:
    """One message per stem, in the order of the ranks."""
    reply = answered.reply
    offset = reply.clip.offset_beats(reply.session.tempo_bpm)
    return [
        SuggestHit(
            req,
            suggestion.rank,
            stem.placement.stem_id,
            suggestion.score,
            stem.placement.role,
            stem.title,
            stem.ratio_out_in,
            stem.placement.semitones,
            offset,
            float(stem.placement.bars),
        )
        for suggestion in reply.suggestions
        for stem in suggestion.stems
    ]


def _clip_of(message: Clip) -> LiveClip:
    path = clip_file(message.path)
    warped = message.warped != 0
    _check(abs(message.start) <= _FARTHEST and abs(message.end) <= _FARTHEST, "region", message)
    whole = not warped and message.start == 0 and message.end == 0
    _check(whole or message.end > message.start, "region", message)
    _check(warped or message.start >= 0, "region", message)
    _check(-48 <= message.pitch <= 48, "pitch", message)
    start, end = message.start, message.end
    return LiveClip(
        clip_id=clip_id_for(path, warped=warped, start=start, end=end),
        path=path,
        warped=warped,
        start=start,
        end=end,
        pitch=message.pitch,
        gain_db=min(max(message.gain, _LOWEST_DB), _HIGHEST_DB),
    )


def _check(fine: bool, what: str, message: Clip) -> None:
    if not fine:
        raise Fault(
            ErrorCode.BAD_ARGUMENTS,
            f"bad_{what}",
            f"A clip from {message.start:g} to {message.end:g}, {message.pitch} semitones, cannot "
            "be meant. Send the region as the DAW has it.",
        )

"""Auditions and renders: the requests that take a while, and what is made ahead of them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from dawlink.osc.answers import AuditionDone, RenderDone, RenderFile, RenderProgress
from dawlink.osc.auditions import AuditionCache, Loop
from dawlink.osc.clients import Answered, Client, LiveClip, LiveSession
from dawlink.osc.exchange import Exchange
from dawlink.osc.faults import ErrorCode, Fault, as_fault
from dawlink.osc.jobtable import JobTable
from dawlink.osc.paths import render_folder
from dawlink.osc.rendering import KINDS, RenderOrder, render_order
from dawlink.osc.requests import Audition, Render
from dawlink.osc.service import EngineService, output_folder
from dawlink.osc.stopping import Stop, Stopped
from dawlink.osc.workers import Lane, Workers

if TYPE_CHECKING:
    from engine.delivery.records import RenderedSuggestion
    from engine.suggestions import Suggestion

__all__ = ["Making"]

_MOST_STEMS: Final = 8
_LONGEST_LOOP_BARS: Final = 16
_LONGEST_RENDER_BARS: Final = 1024
_FARTHEST_BEAT: Final = 7200.0
#: Ranks that are made ahead after one was listened to.
_RANKS_AHEAD: Final = 3
#: While somebody waits for something else, work ahead looks again after this time [s].
_IDLE_LOOK_S: Final = 0.25


@dataclass(frozen=True)
class _Taste:
    """How a client listens: what is made ahead is made that way."""

    bars: int
    with_clip: bool


@dataclass(frozen=True, eq=False)
class _Ahead:
    """What is being made before it is asked for, and for whom."""

    client: Client
    task: asyncio.Task[None]
    stop: Stop


class Making:
    """Answers ``audition`` and ``render``."""

    def __init__(self, service: EngineService, workers: Workers, jobs: JobTable) -> None:
        self._service = service
        self._workers = workers
        self._jobs = jobs
        self._cache = AuditionCache(service)
        self._tastes: dict[tuple[str, int], _Taste] = {}
        self._ahead: _Ahead | None = None

    def drop_auditions(self, client: Client, *, but: Exchange) -> None:
        """A new selection: what the client was about to hear is no longer wanted."""
        self.stop_ahead()
        for exchange in client.running:
            if exchange is not but and isinstance(exchange.request, Audition):
                exchange.cancel()

    def stop_ahead(self) -> None:
        """Nothing more is made ahead."""
        if self._ahead is not None:
            self._ahead.stop.stop()
            self._ahead.task.cancel()
            self._ahead = None

    def forget(self, client: Client) -> None:
        """A client is gone: nothing is made ahead for it."""
        self._tastes.pop(client.source, None)
        if self._ahead is not None and self._ahead.client is client:
            self.stop_ahead()

    def sweep(self) -> None:
        """Clear away what killed daemons left; runs in a thread."""
        self._cache.sweep()

    def close(self) -> None:
        """Take away what only this daemon can use."""
        self._cache.close()

    async def audition(self, exchange: Exchange, message: Audition) -> None:
        """A loop on disk."""
        client, ids = exchange.client, _stem_ids(message.ids)
        clip, session = client.clip(message.clip_id), client.session
        bars = _whole(message.bars, _LONGEST_LOOP_BARS)
        answered, suggestion = await self._chosen(client, clip, session, ids)
        exchange.stop.check()
        bars = bars or min(answered.reply.clip.bars, _LONGEST_LOOP_BARS)
        loop = Loop(answered, suggestion, bars, message.with_clip != 0)
        threads = self._workers.lane("piece")
        path = await self._workers.run(
            "audition", lambda: self._cache.make(loop, exchange.stop, threads)
        )
        exchange.end(AuditionDone(exchange.req, str(path)))
        self._tastes[client.source] = _Taste(bars, loop.with_clip)
        self.look_ahead(client, answered, after=suggestion.rank)

    def look_ahead(self, client: Client, answered: Answered, *, after: int = 0) -> None:
        """Make the next ranks while nobody waits, for a client that is known to listen."""
        taste = self._tastes.get(client.source)
        if taste is None:
            return
        self.stop_ahead()
        following = [s for s in answered.reply.suggestions if s.rank > after][:_RANKS_AHEAD]
        loops = [Loop(answered, each, taste.bars, taste.with_clip) for each in following]
        stop = Stop()
        task = asyncio.get_running_loop().create_task(self._make_ahead(loops, stop))
        self._ahead = _Ahead(client, task, stop)
        while len(self._tastes) > 256:
            self._tastes.pop(next(iter(self._tastes)))

    async def render(self, exchange: Exchange, message: Render) -> None:
        """Files in the project's folder."""
        client, ids = exchange.client, _stem_ids(message.ids)
        clip, session = client.clip(message.clip_id), client.session
        bars = _whole(message.bars, _LONGEST_RENDER_BARS)
        kinds = _kinds(message.kinds)
        if abs(message.start_beat) > _FARTHEST_BEAT:
            raise Fault(
                ErrorCode.BAD_ARGUMENTS, "bad_start", f"Beat {message.start_beat:g} is too far."
            )
        folder = render_folder(session.project, output_folder(self._service.settings))
        answered, suggestion = await self._chosen(client, clip, session, ids)
        order = RenderOrder(answered, suggestion, folder, kinds, bars, message.start_beat)
        made = await self._recorded(exchange, order)
        files = _files_of(exchange.req, order, made)
        for file in files:
            exchange.send(file)
        grid, beats = made.session, float(made.session.beats)
        done = RenderDone(
            exchange.req, len(files), grid.frames, grid.sample_rate, beats, grid.tempo_bpm
        )
        exchange.end(done, parts=lambda: files)

    async def _recorded(self, exchange: Exchange, order: RenderOrder) -> RenderedSuggestion:
        """The render, with its row in the table and its reports to the client."""
        loop = asyncio.get_running_loop()

        def report(share: float, stage: int) -> None:
            progress = RenderProgress(exchange.req, share, stage)
            loop.call_soon_threadsafe(exchange.send, progress)

        def work() -> RenderedSuggestion:
            exchange.stop.check()
            stems = [stem.placement.stem_id for stem in order.suggestion.stems]
            job_id = self._jobs.begin(
                client=exchange.client.name,
                req=exchange.req,
                kind="render",
                folder=order.folder,
                asked={"clip": str(order.answered.clip.path), "stems": stems},
            )
            try:
                made = render_order(self._service, order, exchange.stop, report)
            except Stopped:
                self._jobs.end(job_id, "cancelled")
                raise
            except Exception as error:
                self._jobs.end(job_id, "failed", as_fault(error).message)
                raise
            self._jobs.end(job_id, "done", str(made.description))
            return made

        exchange.send(RenderProgress(exchange.req, 0.0, 0))
        return await self._workers.run("render", work)

    async def _chosen(
        self, client: Client, clip: LiveClip, session: LiveSession, ids: tuple[str, ...]
    ) -> tuple[Answered, Suggestion]:
        """The suggestion that the ids mean: as it was last sent, else placed anew.

        What was corrected since is placed anew too, and what was removed is an error.
        """
        for answered in reversed(client.answers.values()):
            same = replace(answered.session, project=session.project) == session
            if same and answered.clip == clip:
                suggestion = self._service.group(answered, ids)
                if suggestion is not None:
                    looking = partial(self._service.holds, suggestion)
                    if await self._workers.run("quick", looking):
                        return answered, suggestion
                    break
        lane: Lane = "quick" if self._service.knows(clip, session) else "analysis"
        placed = await self._workers.run(lane, lambda: self._service.placed(clip, session, ids))
        if not placed.reply.suggestions:
            raise Fault(
                ErrorCode.NOT_ANALYSED,
                "nothing_fits",
                "These stems cannot reach the session's tempo, or its metre. Suggest again.",
            )
        return placed, placed.reply.suggestions[0]

    async def _make_ahead(self, loops: list[Loop], stop: Stop) -> None:
        for loop in loops:
            while self._workers.busy:
                await asyncio.sleep(_IDLE_LOOK_S)
            with contextlib.suppress(Exception):  # who asks for it gets the error
                await self._workers.run("idle", partial(self._cache.make, loop, stop, None))


def _stem_ids(text: str) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(text.split()))
    if not 1 <= len(ids) <= _MOST_STEMS:
        raise Fault(
            ErrorCode.BAD_ARGUMENTS,
            "bad_ids",
            f"{len(ids)} stems were named, 1 to {_MOST_STEMS} are expected.",
        )
    return ids


def _whole(bars: float, most: int) -> int | None:
    """``bars`` as a whole number; None for 0."""
    if bars != round(bars) or not 0 <= bars <= most:
        raise Fault(
            ErrorCode.BAD_ARGUMENTS,
            "bad_bars",
            f"{bars:g} is no whole number of bars up to {most}.",
        )
    return round(bars) or None


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(kind for kind in dict.fromkeys(text.split()) if kind in KINDS)
    if not kinds:
        raise Fault(
            ErrorCode.BAD_ARGUMENTS,
            "bad_kinds",
            f"None of {text[:60]!r} can be written; there are {', '.join(KINDS)}.",
        )
    return kinds


def _files_of(req: int, order: RenderOrder, made: RenderedSuggestion) -> list[RenderFile]:
    files = [RenderFile(req, order.file_format, str(stem.path)) for stem in made.stems]
    if made.clip is not None:
        files.append(RenderFile(req, "clip", str(made.clip.path)))
    if made.mix is not None:
        files.append(RenderFile(req, "mix", str(made.mix.path)))
    files += [RenderFile(req, path.suffix.lstrip("."), str(path)) for path in made.projects]
    return files

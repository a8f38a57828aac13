"""The lines of a plan, rendered one after the other or several at once.

Whatever a line brings out stays with that line. Before its files appear, and again when they all
have, the batch's state is on the disk; so whatever is killed, the next run knows which files are
the batch's own, keeps what is whole and makes the rest again.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Generator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, Self, cast

from dawlink.batch.plan import PlanLine
from dawlink.batch.state import BatchState, DoneLine, line_key
from dawlink.cli.context import open_engine, open_library
from dawlink.cli.render import choose, notes_of_set
from dawlink.documents import Document, render_document, rendered_document
from dawlink.settings import Settings, StretcherName
from engine.clips.analysis import content_sha
from engine.delivery.records import RenderedSuggestion
from engine.engine import Engine
from engine.errors import DawlinkError, UnusableInput, UnwritableOutput
from engine.files import sha256_of
from engine.library.place import LibraryPlace
from engine.parallel.ground import ground_of
from engine.parallel.workers import Ask, Executor, Finished
from engine.rendering.spans import DecodedSpans
from engine.staging import sweep_staging
from engine.suggestions import Suggestion

__all__ = ["LineJob", "LineOutcome", "done_already", "jobs_of", "run_batch", "unreadable"]

LineStatus = Literal["done", "skipped", "failed"]
_BUG_HINT: Final = "Please report it with the output of the same command run with -vv."


@dataclass(frozen=True)
class LineJob:
    """A line, what the state knows it by, and the hash of its clip ("" when unreadable)."""

    line: PlanLine
    key: str
    clip_sha: str


@dataclass(frozen=True)
class LineOutcome:
    """What became of one line.

    Args:
        line: the line.
        status: ``done``, ``skipped`` (was done already) or ``failed``.
        renders: the description of each rendered suggestion.
        error: why it failed.
        seconds: how long it took; when skipped, how long it took when it was done.
        notes: what a person should know.
        files: every written file to its size [bytes].
        trace: where a bug was.
    """

    line: PlanLine
    status: LineStatus
    renders: tuple[Document, ...] = ()
    error: DawlinkError | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    files: Mapping[Path, int] = field(default_factory=dict)
    trace: str = ""


#: What a line asks of the process that holds the state: "these files are about to appear" (none:
#: "I begin"); the answer is every file that is the line's own.
_Writing = tuple[Path, ...]
_OwnFiles = frozenset[Path]


def jobs_of(lines: Sequence[PlanLine], library: LibraryPlace) -> list[LineJob]:
    """Every line with its key; reads every clip once."""
    shas: dict[Path, str] = {}
    for path in {line.request.path for line in lines}:
        with contextlib.suppress(OSError):  # its lines fail when their turn comes
            shas[path] = sha256_of(path)
    found = [(line, shas.get(line.request.path, "")) for line in lines]
    return [LineJob(line, line_key(line, sha, library), sha) for line, sha in found]


def run_batch(
    lines: Sequence[PlanLine],
    out: Path,
    settings: Settings,
    *,
    executor: Executor,
    plan: str = "",
    fresh: bool = False,
) -> Generator[LineOutcome, None, None]:
    """Render every line that is not done yet.

    Args:
        lines: a checked plan.
        out: the batch's folder.
        settings: the library and the way to Rubber Band.
        executor: where lines are rendered.
        plan: its name; a line that was changed takes the place of what this plan made there.
        fresh: render what is done already again.

    Returns:
        what became of the lines: first those that were done, then the others as they end.

    Raises:
        LibraryUnusable: there is no library, or it cannot be read.
        UnwritableOutput: the folder cannot be written, or another batch is at work in it.
    """
    with open_library(settings):  # fails before any work when it cannot be used
        pass
    found = jobs_of(lines, settings.library)
    renderer = _LineRenderer(settings.library, settings.stretcher)
    with BatchState.open(out) as state, renderer, _swept(lines):
        waiting = []
        for job in found:
            skipped = None if fresh else done_already(job, state, out)
            if skipped is None:
                waiting.append(job)
            else:
                yield skipped
        keys = frozenset(job.key for job in found)
        answer = partial(_answer, state, keys)
        readable = [job.line for job in found if job.clip_sha]  # the others fail wherever they are
        ground = ground_of(settings.library, [out, *_read_by(readable)])
        run = executor.run(renderer, waiting, answer=answer, group=_clip_of, ground=ground)
        with contextlib.closing(run):
            for finished in run:
                yield _noted(finished, state, keys, plan)


def done_already(job: LineJob, state: BatchState, out: Path) -> LineOutcome | None:
    """The line as it was done earlier, when all of its files are still there."""
    done = state.done(job.key) if job.clip_sha else None
    renders = None if done is None else _descriptions(done, out)
    if done is None or renders is None:
        return None
    return LineOutcome(job.line, "skipped", renders, seconds=done.seconds)


def unreadable(job: LineJob) -> UnusableInput | None:
    """Why a line whose clip is not there or cannot be read would fail; None for all others."""
    if not job.clip_sha:
        try:
            content_sha(job.line.request.path)
        except UnusableInput as error:
            return error
    return None


def _descriptions(done: DoneLine, out: Path) -> tuple[Document, ...] | None:
    """The descriptions that lie beside the files; None when one cannot be read."""
    documents: list[Document] = []
    for name in done.descriptions:
        path = out.resolve() / name
        try:
            documents.append({**json.loads(path.read_text("utf-8")), "json": str(path)})
        except (OSError, ValueError, TypeError):
            return None
    return tuple(documents)


def _read_by(lines: Iterable[PlanLine]) -> list[Path]:
    """The files that lines are made from."""
    own_sets = [line.into.path for line in lines if line.into is not None]
    return [*(line.request.path for line in lines), *own_sets]


def _clip_of(job: LineJob) -> str:
    return job.clip_sha


def _answer(state: BatchState, keys: Set[str], job: LineJob, files: _Writing) -> _OwnFiles:
    if files:
        state.writing(job.key, files)
    return state.own_files(job.key) | state.left_files(keys, job.line.folder)


def _noted(
    finished: Finished[LineJob, LineOutcome], state: BatchState, keys: Set[str], plan: str
) -> LineOutcome:
    """The outcome, once the state holds it."""
    job, outcome = finished.job, finished.result
    if outcome is None:
        error = UnusableInput(
            f"The process that rendered {job.line.request.path} died twice.",
            hint="The machine may have run out of memory; try --jobs 1.",
            code="crashed",
        )
        outcome = LineOutcome(job.line, "failed", error=error)
    if outcome.error is None:
        descriptions = [Path(str(document["json"])) for document in outcome.renders]
        replaced = state.replaced_files(keys, plan, job.line.folder)
        state.finish(
            job.key, outcome.files, descriptions, outcome.seconds, plan=plan, replaced=replaced
        )
    else:
        state.fail(job.key, outcome.error.message)
    return outcome


@contextlib.contextmanager
def _swept(lines: Iterable[PlanLine]) -> Generator[None, None, None]:
    """No unfinished files in any folder of the plan, neither before nor afterwards."""
    folders = {line.writing.out for line in lines}
    for folder in folders:
        sweep_staging(folder, idle=True)
    try:
        yield
    finally:
        for folder in folders:
            sweep_staging(folder, idle=True)


class _LineRenderer:
    """Renders lines; keeps its engine from one to the next, also in a process of its own."""

    def __init__(self, library: LibraryPlace, stretcher: StretcherName) -> None:
        self._library = library
        self._stretcher = stretcher
        self._engine: Engine | None = None
        self._spans = DecodedSpans()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.library.close()

    def __call__(self, job: LineJob, ask: Ask[_Writing, _OwnFiles]) -> LineOutcome:
        """One line: the boundary where its failure becomes an outcome."""
        began = time.monotonic()
        try:
            outcome = self._render(job, ask)
        except DawlinkError as error:
            outcome = LineOutcome(job.line, "failed", error=error)
        except Exception as error:  # a bug that one line brings out must not stop the others
            described = DawlinkError(
                f"{job.line.request.path} triggered a bug in dawlink: "
                f"{type(error).__name__}: {error}.",
                hint=_BUG_HINT,
            )
            trace = traceback.format_exc()
            outcome = LineOutcome(job.line, "failed", error=described, trace=trace)
        return replace(outcome, seconds=round(time.monotonic() - began, 3))

    def _render(self, job: LineJob, ask: Ask[_Writing, _OwnFiles]) -> LineOutcome:
        line = job.line
        if self._engine is None:
            self._engine = open_engine(Settings(library=self._library, stretcher=self._stretcher))
        engine = self._engine
        reply = engine.suggest(line.request, line.wanted, model=line.model)
        if reply.clip.sha256 != job.clip_sha:
            raise UnusableInput(
                f"{line.request.path} has changed since the batch began.",
                hint="Run the same command again.",
                code="changed",
            )
        chosen = choose(reply, rank=line.rank, top=line.top)
        own = ask(())
        writing = replace(line.writing, overwrite=True)  # only its own: that is seen to here
        documents: list[Document] = []

        def describe(rendered: RenderedSuggestion, suggestion: Suggestion) -> Document:
            _refuse_foreign(rendered.files, own, line)
            ask(rendered.files)
            documents.append(rendered_document(rendered, suggestion, reply))
            return documents[-1]

        _refuse_foreign(engine.planned_files(reply, chosen, writing), own, line)
        rendered = engine.render(reply, chosen, writing, describe=describe, read=self._spans)
        described = render_document(documents, [str(item.description) for item in rendered])
        return LineOutcome(
            line,
            "done",
            tuple(cast("list[Document]", described["renders"])),
            notes=(*reply.notes, *notes_of_set(line.into, reply)),
            files={path: path.stat().st_size for item in rendered for path in item.on_disk()},
        )


def _refuse_foreign(files: Iterable[Path], own: _OwnFiles, line: PlanLine) -> None:
    known = {*own, *(folder for path in own for folder in path.parents)}
    foreign = [path for path in files if path not in known and path.exists()]
    if foreign and not line.writing.overwrite:
        raise UnwritableOutput(
            f"{foreign[0]} is already there, and not as this line made it.",
            hint="Add --overwrite to replace it, or choose another --out.",
            code="exists",
        )

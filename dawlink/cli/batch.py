"""``dawlink batch``: many renders from a plan."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dawlink.batch.estimate import DEFAULT_PACE, Estimate, estimate, pace_of
from dawlink.batch.plan import PlanLine, read_plan
from dawlink.batch.running import LineOutcome, done_already, jobs_of, run_batch, unreadable
from dawlink.batch.state import BatchState
from dawlink.cli.context import executor_of, invocation
from dawlink.cli.options import Cluster, Json
from dawlink.cli.output import (
    Documented,
    emit_json_line,
    emit_text,
    error_fields,
    print_table,
    progress,
)
from dawlink.documents import Document
from dawlink.settings import Settings
from engine.errors import DawlinkError, SomeItemsFailed

app = typer.Typer(help="Render a plan of many lines.")
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Foretold:
    """A line of a dry run, whether it is done already, and why it would fail."""

    line: PlanLine
    estimate: Estimate
    done: bool
    error: DawlinkError | None

    @property
    def status(self) -> str:
        """``skip``, ``fail`` or ``render``."""
        if self.done:
            return "skip"
        return "render" if self.error is None else "fail"


@app.command()
def batch(
    ctx: typer.Context,
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="CSV, TOML or JSON lines.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write into.")],
    jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Lines at once; default one per core.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Render what is done already again.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are no line's own.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")
    ] = False,
    cluster: Cluster = None,
    json: Json = False,
) -> None:
    """Render every line of a plan.

    A plan is a CSV file with a header, a TOML file with [[render]] tables, or JSON lines. Its
    columns are the options of suggest and render with underscores: clip, tempo, key, roles, top
    and so on; clips count from the plan's folder. Each line gets a folder of its own, named by
    the column out (default: "{line:03d} {clip}"). The whole plan is checked before the first
    render; a failed line, such as one whose clip is not there, never stops the others; the same
    command again goes on where it was.
    """
    settings = invocation(ctx).settings(jobs=jobs, cluster=cluster)
    if settings.cluster:  # workers have folders of their own to count from
        plan, out = plan.absolute(), out.absolute()
    lines = read_plan(plan, out, invocation(ctx), overwrite=overwrite)
    if dry_run:
        _foretell(lines, out, settings, fresh=fresh, json=json)
        return
    began = time.monotonic()
    outcomes = []
    executor, named = executor_of(settings), str(plan.resolve())
    run = run_batch(lines, out, settings, executor=executor, plan=named, fresh=fresh)
    with contextlib.closing(run), progress("rendering", total=len(lines)) as bar:
        for outcome in run:
            outcomes.append(outcome)
            bar.advance()
            bar.describe(f"line {outcome.line.number}")
            _tell(outcome, json=json)
    _finish(outcomes, out, time.monotonic() - began, json=json)


def _tell(outcome: LineOutcome, *, json: bool) -> None:
    where = f"line {outcome.line.number} ({outcome.line.request.path.name})"
    if outcome.status == "done":
        for note in outcome.notes:
            _LOGGER.warning("%s: %s", where, note)
    if outcome.trace:
        _LOGGER.debug("%s: %s", where, outcome.trace)
    if json:
        emit_json_line(_document(outcome))
    elif outcome.error is not None:
        _LOGGER.error("%s: %s", where, f"{outcome.error.message} {outcome.error.hint}".strip())


def _document(outcome: LineOutcome) -> Document:
    document: Document = {
        "line": outcome.line.number,
        "status": outcome.status,
        "clip": str(outcome.line.request.path.resolve()),
    }
    if outcome.error is None:
        document["renders"] = list(outcome.renders)
        document["notes"] = list(outcome.notes)
    else:
        document["error"] = error_fields(outcome.error)
    return {**document, "seconds": outcome.seconds}


def _finish(outcomes: list[LineOutcome], out: Path, seconds: float, *, json: bool) -> None:
    """The summary, then the exit code."""
    found = Counter(outcome.status for outcome in outcomes)
    counts = {status: found[status] for status in ("done", "skipped", "failed")}
    error = _failure(counts["failed"], len(outcomes))
    if json:
        summary: Document = {
            "summary": {**counts, "out": str(out.resolve()), "seconds": round(seconds, 3)}
        }
        emit_json_line(summary if error is None else {**summary, "error": error_fields(error)})
    else:
        rows = [_row(outcome) for outcome in sorted(outcomes, key=lambda o: o.line.number)]
        print_table(["line", "status", "clip", "suggestions", "score", "seconds", "folder"], rows)
        emit_text(
            f"{counts['done']} done, {counts['skipped']} done before, {counts['failed']} failed "
            f"in {seconds:.1f} s."
        )
    if error is not None:
        raise Documented(error)


def _failure(failed: int, lines: int) -> SomeItemsFailed | None:
    if not failed:
        return None
    return SomeItemsFailed(
        f"{failed} of {lines} lines failed.",
        hint="The others are done; fix those named above and run the command again.",
    )


def _row(outcome: LineOutcome) -> tuple[object, ...]:
    scores = [render.get("score") for render in outcome.renders]
    best = scores[0] if scores else None
    return (
        outcome.line.number,
        outcome.status,
        outcome.line.request.path.name,
        len(outcome.renders),
        f"{best:.2f}" if isinstance(best, float) else "",
        f"{outcome.seconds:.1f}",
        str(outcome.line.folder),
    )


def _foretell(
    lines: list[PlanLine], out: Path, settings: Settings, *, fresh: bool, json: bool
) -> None:
    """What each line would make, in the order of the plan."""
    jobs = jobs_of(lines, settings.library)
    with BatchState.look(out) as state:
        done = [done_already(job, state, out) for job in jobs]
    measured = pace_of((found.line, found.seconds) for found in done if found is not None)
    foretold = [
        _Foretold(
            job.line,
            estimate(job.line, pace=measured or DEFAULT_PACE),
            not fresh and found is not None,
            unreadable(job),
        )
        for job, found in zip(jobs, done, strict=True)
    ]
    for item in foretold:
        if item.error is not None:
            _LOGGER.warning("line %s would fail: %s", item.line.number, item.error.message)
    left = [item.estimate for item in foretold if item.status == "render"]
    count = Counter(item.status for item in foretold)
    summary = {
        **{status: count[status] for status in ("render", "skip", "fail")},
        "size_bytes": sum(item.size_bytes or 0 for item in left),
        "seconds": round(sum(item.seconds or 0.0 for item in left) / _at_once(settings, left), 1),
        "seconds_from": "lines done here" if measured else "a measured average",
        "size_from": "length and format",
        "out": str(out.resolve()),
    }
    if json:
        for item in foretold:
            emit_json_line(_foretold(item))
        emit_json_line({"summary": summary})
        return
    columns = ["line", "would", "clip", "files", "MB", "seconds", "folder"]
    print_table(columns, [_foretold_row(item) for item in foretold])
    emit_text(
        f"{count['render']} to render, {count['skip']} done before, {count['fail']} would fail; "
        "about "
        f"{sum(item.size_bytes or 0 for item in left) / 1e6:.0f} MB (from {summary['size_from']}) "
        f"and {summary['seconds']} s (from {summary['seconds_from']})."
    )


def _at_once(settings: Settings, left: list[Estimate]) -> int:
    return max(1, min(settings.workers, len(left)))


def _foretold(item: _Foretold) -> Document:
    document: Document = {
        "line": item.line.number,
        "status": item.status,
        "clip": str(item.line.request.path.resolve()),
        "folder": str(item.line.folder),
        "files": item.estimate.files,
        "size_bytes": item.estimate.size_bytes,
        "seconds": item.estimate.seconds,
    }
    return document if item.error is None else {**document, "error": error_fields(item.error)}


def _foretold_row(item: _Foretold) -> tuple[object, ...]:
    size, seconds = item.estimate.size_bytes, item.estimate.seconds
    return (
        item.line.number,
        item.status,
        item.line.request.path.name,
        item.estimate.files,
        "?" if size is None else f"{size / 1e6:.1f}",
        "?" if seconds is None else f"{seconds:.1f}",
        str(item.line.folder),
    )

"""``dawlink batch``: many renders from a plan."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from dawlink.batch.estimate import DEFAULT_PACE, Estimate, estimate, pace_of
from dawlink.batch.plan import PlanLine, read_plan
from dawlink.batch.running import LineOutcome, done_already, jobs_of, run_batch
from dawlink.batch.state import BatchState
from dawlink.cli.context import invocation
from dawlink.cli.options import Json
from dawlink.cli.output import emit_json_line, emit_text, print_table, progress
from dawlink.documents import Document
from dawlink.settings import Settings
from engine.errors import SomeItemsFailed

app = typer.Typer(help="Render a plan of many lines.")
_LOGGER = logging.getLogger(__name__)


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
    json: Json = False,
) -> None:
    """Render every line of a plan.

    A plan is a CSV file with a header, a TOML file with [[render]] tables, or JSON lines. Its
    columns are the options of suggest and render with underscores: clip, tempo, key, roles, top
    and so on; clips count from the plan's folder. Each line gets a folder of its own, named by
    the column out (default: "{line:03d} {clip}"). The whole plan is checked before the first
    render; a failed line never stops the others; the same command again goes on where it was.
    """
    settings = invocation(ctx).settings(jobs=jobs)
    lines = read_plan(plan, out, invocation(ctx), overwrite=overwrite)
    if dry_run:
        _foretell(lines, out, settings, fresh=fresh, json=json)
        return
    began = time.monotonic()
    outcomes = []
    run = run_batch(lines, out, settings, jobs=settings.workers, fresh=fresh)
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
        error = outcome.error
        document["error"] = {"code": error.code, "message": error.message, "hint": error.hint}
    return {**document, "seconds": outcome.seconds}


def _finish(outcomes: list[LineOutcome], out: Path, seconds: float, *, json: bool) -> None:
    """The summary, then the exit code."""
    found = Counter(outcome.status for outcome in outcomes)
    counts = {status: found[status] for status in ("done", "skipped", "failed")}
    if json:
        summary = {**counts, "out": str(out.resolve()), "seconds": round(seconds, 3)}
        emit_json_line({"summary": summary})
    else:
        rows = [_row(outcome) for outcome in sorted(outcomes, key=lambda o: o.line.number)]
        print_table(["line", "status", "clip", "suggestions", "score", "seconds", "folder"], rows)
        emit_text(
            f"{counts['done']} done, {counts['skipped']} done before, {counts['failed']} failed "
            f"in {seconds:.1f} s."
        )
    if counts["failed"]:
        raise SomeItemsFailed(
            f"{counts['failed']} of {len(outcomes)} lines failed.",
            hint="The others are done; mend those named above and run the same command again.",
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
        done = {job.line.number: done_already(job, state, out) for job in jobs}
    known = [(line, found.seconds) for line in lines if (found := done[line.number])]
    measured = pace_of(known)
    basis = "the lines done here" if measured else "a measured average; machines differ"
    made: list[tuple[PlanLine, Estimate, bool]] = []
    for line in lines:
        is_done = not fresh and done[line.number] is not None
        made.append((line, estimate(line, pace=measured or DEFAULT_PACE), is_done))
    left = [found for _, found, is_done in made if not is_done]
    size = sum(found.size_bytes or 0 for found in left)
    seconds = sum(found.seconds or 0.0 for found in left) / min(settings.workers, len(left) or 1)
    if json:
        for line, found, is_done in made:
            emit_json_line(_foretold(line, found, is_done=is_done))
        summary = {"render": len(left), "skip": len(made) - len(left), "size_bytes": size}
        summary_text = {"seconds": round(seconds, 1), "estimated_from": basis}
        emit_json_line({"summary": {**summary, **summary_text, "out": str(out.resolve())}})
        return
    print_table(
        ["line", "would", "clip", "files", "MB", "seconds", "folder"],
        [_foretold_row(line, found, is_done=is_done) for line, found, is_done in made],
    )
    emit_text(
        f"{len(left)} to render, {len(made) - len(left)} done before; about {size / 1e6:.0f} MB "
        f"and {seconds:.0f} s (size from length and format, time from {basis})."
    )


def _foretold(line: PlanLine, found: Estimate, *, is_done: bool) -> Document:
    return {
        "line": line.number,
        "status": "skip" if is_done else "render",
        "clip": str(line.request.path.resolve()),
        "folder": str(line.folder),
        "files": found.files,
        "size_bytes": found.size_bytes,
        "seconds": found.seconds,
    }


def _foretold_row(line: PlanLine, found: Estimate, *, is_done: bool) -> tuple[object, ...]:
    return (
        line.number,
        "skip" if is_done else "render",
        line.request.path.name,
        found.files,
        "?" if found.size_bytes is None else f"{found.size_bytes / 1e6:.1f}",
        "?" if found.seconds is None else f"{found.seconds:.1f}",
        str(line.folder),
    )

"""``dawlink add``: music into the library."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Annotated

import typer

from dawlink.cli.context import executor_of, invocation
from dawlink.cli.options import Cluster, Json
from dawlink.cli.output import Documented, emit_json_line, emit_text, error_fields, progress
from dawlink.documents import Document
from engine.errors import DawlinkError, MissingDependency, SomeItemsFailed
from engine.ingest.adding import AddOptions, AddOutcome, add_sources, plan_all
from engine.library.place import LibraryPlace
from engine.theory import parse_role

app = typer.Typer(help="Analyse audio into the library.")
_LOGGER = logging.getLogger(__name__)


@app.command()
def add(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    stems: Annotated[
        bool, typer.Option("--stems", help="Each folder is one multitrack song.")
    ] = False,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Each file is one stem of this role.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Separation model for full mixes.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Songs analysed at once; default one per core.")
    ] = None,
    cluster: Cluster = None,
    json: Json = False,
) -> None:
    """Analyse audio into the library.

    A file is a song, which is separated into stems, unless --role says it is one stem. A folder
    with files named by role is one multitrack song. What is in already is skipped by its content;
    a bad file never stops the rest; after an interruption the same command goes on.
    """
    settings = invocation(ctx).settings(separator=separator, jobs=jobs, cluster=cluster)
    wanted = AddOptions(
        separator=settings.separator,
        stems=stems,
        role=parse_role(role) if role else None,
        jobs=settings.workers,
    )
    plans, failures = plan_all(
        [path.absolute() for path in paths] if settings.cluster else paths, wanted
    )
    outcomes = list(failures)
    alone = len(plans) + len(failures) == 1
    for outcome in failures:
        _tell(outcome, alone=alone, json=json)
    with (
        progress("adding", total=len(plans)) as bar,
        contextlib.closing(
            add_sources(plans, settings.library, wanted, executor=executor_of(settings))
        ) as run,
    ):
        for outcome in run:
            outcomes.append(outcome)
            bar.advance()
            bar.describe(outcome.title)
            _tell(outcome, alone=alone, json=json)
            if isinstance(outcome.error, MissingDependency):
                break  # every other song would miss it too
    _finish(outcomes, settings.library, json=json)


def _tell(outcome: AddOutcome, *, alone: bool, json: bool) -> None:
    """What became of a source; but for an error that is told at the end as that of the run."""
    for note in outcome.notes:
        _LOGGER.warning("%s: %s", outcome.title, note)
    if json:
        emit_json_line(_document(outcome))
        return
    if outcome.error is not None:
        if not alone and not isinstance(outcome.error, MissingDependency):
            _LOGGER.error("%s", _sentence(outcome.error))
    else:
        emit_text(f"{outcome.status:8} {outcome.song_id}  {outcome.title}")


def _finish(outcomes: list[AddOutcome], library: LibraryPlace, *, json: bool) -> None:
    """The summary, which names the error, then the error."""
    error = _failure(outcomes)
    counts = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in ("added", "present", "failed")
    }
    if json:
        from engine.library.library import Library

        with Library.open(library) as opened:
            size = len(opened.songs())
        summary: Document = {"summary": {**counts, "library": str(library), "songs": size}}
        emit_json_line(summary if error is None else {**summary, "error": error_fields(error)})
    else:
        emit_text(
            f"{counts['added']} added, {counts['present']} in already, {counts['failed']} failed."
        )
    if error is not None:
        raise Documented(error)


def _failure(outcomes: list[AddOutcome]) -> DawlinkError | None:
    """The error of the run: that of its only item, or what is missing for all of them."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    missing = next((error for error in errors if isinstance(error, MissingDependency)), None)
    if missing is not None or not errors:
        return missing
    if len(outcomes) == 1:
        return errors[0]
    return SomeItemsFailed(
        f"{len(errors)} of {len(outcomes)} could not be added.",
        hint="The others are in; fix those named above and run the command again.",
    )


def _document(outcome: AddOutcome) -> Document:
    error = outcome.error
    return {
        "path": str(outcome.path),
        "title": outcome.title,
        "status": outcome.status,
        "song_id": outcome.song_id or None,
        "notes": list(outcome.notes),
        "error": None if error is None else error_fields(error),
    }


def _sentence(error: DawlinkError) -> str:
    return f"{error.message} {error.hint}".strip()

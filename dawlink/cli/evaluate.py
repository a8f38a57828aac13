"""``dawlink evaluate``: the tables that compare the models."""

from __future__ import annotations

import csv
import io
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import platformdirs
import typer

from dawlink.cli.context import Invocation, invocation, open_library
from dawlink.cli.options import Json
from dawlink.cli.output import (
    JSON_SCHEMA,
    Bar,
    Documented,
    emit_json,
    emit_text,
    error_fields,
    print_table,
    progress,
)
from dawlink.documents import Document
from dawlink.evaluation_documents import report_document
from dawlink.settings import Settings
from engine.errors import (
    DawlinkError,
    MissingDependency,
    SomeItemsFailed,
    UnusableInput,
    UsageError,
)
from engine.files import require_writable, write_whole
from engine.ingest.adding import AddOptions, AddOutcome, add_sources, path_of, plan_all
from engine.library.place import files_of

if TYPE_CHECKING:
    from engine.evaluation.bootstrap import Interval
    from engine.evaluation.corpus import EvaluationSong, Mixtures, Passage
    from engine.evaluation.report import ModelResult, Report, Task
    from engine.ingest import SourcePlan
    from engine.theory import Role
    from engine.training.midi_corpus import Split

app = typer.Typer(help="Compare the models on songs whose stems are known.")
_LOGGER = logging.getLogger(__name__)

_COLUMNS = (
    "task",
    "queries",
    "songs",
    "model",
    "R@1",
    "R@5",
    "R@10",
    "mean NR",
    "median NR",
    "NR - baseline",
    "scored/s",
)
#: Of protocols that have a threshold; the last column, empty for scores that are no probabilities.
_ACCURACY = "accuracy"


SEPARATED_NOTE = (
    "Some of these songs were separated from full mixes: their stems bleed into each other, "
    "which gives the right answer away."
)


@dataclass(frozen=True, eq=False)
class _Shown:
    """Sums of stems; the bar says whose are being computed."""

    mixtures: Mixtures
    bar: Bar

    def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
        self.bar.describe(f"adding up {song.title}")
        return self.mixtures.of(song, parts)


@app.command()
def evaluate(
    ctx: typer.Context,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR...]", help="More folders of --data.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Multitrack songs, or MIDI songs to render; default the library's."
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option(metavar="NAME", help="retrieval, kway, huang or alignment.")
    ] = "retrieval",
    models: Annotated[
        str | None, typer.Option(metavar="A,B", help="Default: every model that is there.")
    ] = None,
    limit_songs: Annotated[
        int | None, typer.Option(metavar="N", help="Only the first N songs.")
    ] = None,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="Songs of this part of a MIDI corpus; test where it is rendered."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of draws and intervals.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write table and pictures here.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keeps what was analysed.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare the models on songs whose stems are known, all on the same items.

    The songs of --data are analysed once, as add does it, into a library in the cache folder (or
    into the one of --library); without --data the songs of the library are taken. Of songs that
    were rendered from MIDI one variant of each composition takes part.
    """
    from engine.evaluation.protocols import parse_protocol, rankers_for
    from engine.training.midi_audio.evaluation import comparable_songs, require_split
    from engine.training.midi_audio.index import is_midi_corpus

    if limit_songs is not None and limit_songs < 1:
        raise UsageError(
            f"--limit-songs {limit_songs} leaves no song.", hint="Give 1 or more.", code="bad_limit"
        )
    if not 0 <= seed < 2**63:
        raise UsageError(f"The seed {seed} is not valid.", hint="Give 0 or more.")
    wanted = parse_protocol(protocol)
    if out is not None:
        require_writable(out)
    own = (ctx.find_object(Invocation) or invocation(ctx)).settings()
    rankers = rankers_for(models, folders=(files_of(own.library) / "models",))
    kept = cache or platformdirs.user_cache_path("dawlink", False) / "evaluation"
    folders = [*(data or []), *(more or [])]
    settings = _settings(ctx.find_object(Invocation) or invocation(ctx), folders, kept)
    corpora = [folder for folder in folders if is_midi_corpus(folder)]
    others = [folder for folder in folders if folder not in corpora]
    if split is not None and not corpora:
        require_split(files_of(settings.library), split)
    songs, failed = _analysed(others, settings, limit_songs)
    if corpora:
        songs += _rendered(corpora, settings, split or "test", limit=limit_songs, seed=seed)
    with open_library(settings) as library, progress("comparing models") as bar:
        from engine.evaluation.corpus import LibraryMixtures, load_songs, with_parts
        from engine.evaluation.protocols import evaluate as run

        rows = {song.id: song for song in library.songs()}
        chosen = comparable_songs(
            songs if folders else list(rows), files_of(settings.library), split
        )
        chosen = list(itertools.islice(with_parts(library, chosen), limit_songs))
        mixtures = _Shown(LibraryMixtures(library, kept / "mixtures"), bar)
        report = run(wanted, load_songs(library, chosen), mixtures, rankers, seed=seed)
    if any(rows[song].separator for song in chosen):
        report = replace(report, notes=(*report.notes, SEPARATED_NOTE))
    for note in report.notes:
        _LOGGER.warning("%s", note)
    document = report_document(report)
    written = _write(report, document, out) if out else []
    error = _failure(failed)
    if json:
        found: Document = {"files": written, "failed": [str(o.path) for o in failed]}
        told = {} if error is None else {"error": error_fields(error)}
        emit_json({**document, **found, **told})
    else:
        _print(report, written)
    if error is not None:
        raise Documented(error)


def _settings(given: Invocation, folders: Sequence[Path], kept: Path) -> Settings:
    """Songs of --data go into a library of their own, unless one is named."""
    library = kept / "library" if folders and given.library is None else None
    return given.settings(**({} if library is None else {"library": library}))


def _analysed(
    folders: Sequence[Path], settings: Settings, limit: int | None
) -> tuple[list[str], list[AddOutcome]]:
    """Ids of the songs in ``folders``, in their order, and what could not be used."""
    if not folders:
        return [], []
    options = AddOptions(stems=True, jobs=settings.workers)
    plans, failed = plan_all(folders, options)
    failed += _unreadable(plans, folders)
    plans = [plan for plan in plans if _has_two_roles(plan)][:limit]
    order = {path_of(plan): number for number, plan in enumerate(plans)}
    found: dict[int, str] = {}
    with progress("analysing songs", total=len(plans)) as bar:
        for outcome in add_sources(plans, settings.library, options):
            bar.advance()
            bar.describe(outcome.title)
            if isinstance(outcome.error, MissingDependency):
                raise outcome.error
            if outcome.error is not None:
                failed.append(outcome)
            else:
                found[order.get(outcome.path, len(order))] = outcome.song_id
    first = failed[0].error if failed and not found else None
    _tell_failed(failed[1:] if first is not None else failed)
    if first is not None:
        raise first
    return list(dict.fromkeys(found[number] for number in sorted(found))), failed


def _unreadable(plans: Sequence[SourcePlan], named: Sequence[Path]) -> list[AddOutcome]:
    """Files that are named by themselves, have no stems, and cannot be read either."""
    from engine.audio.decode import decode

    failed = []
    for plan in plans:
        path = path_of(plan)
        if plan.kind != "song" or path not in named:
            continue
        try:
            decode(path)
        except UnusableInput as error:
            failed.append(AddOutcome(path, plan.title, "failed", error=error))
    return failed


def _tell_failed(failed: Sequence[AddOutcome]) -> None:
    for outcome in failed:
        _LOGGER.error("%s", outcome.error.message if outcome.error else outcome.path)


def _rendered(
    corpora: Sequence[Path], settings: Settings, split: Split, *, limit: int | None, seed: int
) -> list[str]:
    """Ids of the songs of MIDI corpora, rendered into the library."""
    from engine.training.midi_audio.evaluation import rendered_songs

    if not isinstance(settings.library, Path):
        raise UsageError(
            "MIDI songs are rendered into a library that is a folder.",
            hint="Leave --library out, or name a folder.",
        )
    with progress("rendering songs") as bar:
        songs, notes = rendered_songs(
            corpora,
            settings.library,
            split,
            limit=limit,
            seed=seed,
            jobs=settings.workers,
            tell=bar.describe,
        )
    for note in notes:
        _LOGGER.warning("%s", note)
    return songs


def _has_two_roles(plan: SourcePlan) -> bool:
    return plan.kind == "stem-mp4" or len({file.role for file in plan.files}) > 1


def _failure(failed: Sequence[AddOutcome]) -> DawlinkError | None:
    if not failed:
        return None
    return SomeItemsFailed(
        f"{len(failed)} of the songs could not be analysed and are not in the table.",
        hint="Mend those named above and run the same command again.",
    )


def _write(report: Report, document: Document, out: Path) -> list[Path]:
    """``<protocol>.json``, ``<protocol>.csv`` and the pictures, replaced if they are there."""
    from engine.evaluation.plots import draw_report

    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([_columns(report), *_rows(report)])
    tables = [out / f"{report.protocol}.json", out / f"{report.protocol}.csv"]
    text = dumps({"schema": JSON_SCHEMA, **document}, ensure_ascii=False, indent=2)
    write_whole(tables[0], text + "\n")
    write_whole(tables[1], lines.getvalue())
    return [*tables, *draw_report(report, out)]


def _print(report: Report, written: Sequence[Path]) -> None:
    print_table(_columns(report), _rows(report))
    for task in report.tasks:
        if task.results[0].axes:
            names = [result.model for result in task.results]
            emit_text("\nHow often an original scores above its altered copies (0.5 is chance):")
            axes = zip(*(result.axes for result in task.results), strict=True)
            print_table(
                ["axis", *names],
                [(same[0].axis, *(f"{axis.paired:.2f}" for axis in same)) for same in axes],
            )
    for path in written:
        emit_text(f"wrote {path}")


def _columns(report: Report) -> tuple[str, ...]:
    return (*_COLUMNS, _ACCURACY) if report.tasks[0].has_threshold else _COLUMNS


def _rows(report: Report) -> list[tuple[object, ...]]:
    return [row for task in report.tasks for row in _task_rows(task)]


def _task_rows(task: Task) -> list[tuple[object, ...]]:
    first = task.results[0].overall
    rows: list[tuple[object, ...]] = [
        (
            task.name,
            first.queries,
            first.songs,
            result.model,
            *_figures(result),
            *_share(task, result),
        )
        for result in task.results
    ]
    lots = [f"{task.chance[name]:.3f}" for name in ("r1", "r5", "r10", "mean_nr", "median_nr")]
    lots += ["", ""]
    if task.has_threshold:
        lots.append(f"{task.chance[_ACCURACY]:.3f}")
    return [*rows, (task.name, first.queries, first.songs, "(chance)", *lots)]


def _figures(result: ModelResult) -> tuple[object, ...]:
    from engine.evaluation.report import BASELINE

    overall, difference = result.overall, result.against.get(BASELINE)
    gap = ""
    if difference is not None:
        gap = f"{difference.mean_nr:+.3f} {_range(difference.mean_nr_ci95)}".rstrip()
    return (
        f"{overall.r1:.3f} {_range(overall.ci95['r1'])}".rstrip(),
        f"{overall.r5:.3f}",
        f"{overall.r10:.3f}",
        f"{overall.mean_nr:.3f} {_range(overall.ci95['mean_nr'])}".rstrip(),
        f"{overall.median_nr:.3f}",
        gap,
        f"{result.scored_per_s:.0f}",
    )


def _share(task: Task, result: ModelResult) -> tuple[str, ...]:
    if not task.has_threshold:
        return ()
    found = result.accuracy
    return ("" if found is None else f"{found.share:.3f} {_range(found.ci95)}".rstrip(),)


def _range(interval: Interval) -> str:
    return f"[{interval.low:.3f}, {interval.high:.3f}]" if interval.is_known else ""

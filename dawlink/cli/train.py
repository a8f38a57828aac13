"""``dawlink train``: a checkpoint out of multitrack songs.

A model is one line in :data:`TRAINERS`: the module whose ``run`` trains it.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import typer

from dawlink.cli.context import invocation
from dawlink.cli.options import Json
from dawlink.cli.output import Bar, emit_json, emit_text, progress
from engine.errors import Interrupted, UnusableInput, UnwritableOutput, UsageError
from engine.files import require_writable
from engine.training.requests import Trainer, TrainReport, TrainRequest

app = typer.Typer(help="Train a model on your own music.")
_LOGGER = logging.getLogger(__name__)

#: Model to the module with its ``run(request, tell)``.
TRAINERS: Final = {
    "fit": "engine.training.fit.run",
    "premixnet": "engine.training.mix_nets.run",
    "postmixnet": "engine.training.mix_nets.run",
    "stem-jepa": "engine.training.stem_jepa.run",
    "song-masher": "engine.training.song_masher.run",
}
#: Models that learn from the notes of MIDI files.
READ_NOTES: Final = ("fit",)
#: Models to which ``--lsro`` means something.
WITH_LSRO: Final = ("premixnet", "postmixnet")


@app.command()
def train(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"One of {', '.join(TRAINERS)}.")],
    data: Annotated[
        list[Path],
        typer.Option(metavar="DIR", help="Multitrack songs, MIDI songs, or a library; repeatable."),
    ],
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR...]", help="More folders of --data.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The checkpoint; MODEL.safetensors.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Rounds through the data.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="End after so many in all; --resume goes on."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"] | None,
        typer.Option(help="Device to train on; default auto, or the setting."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of every random choice.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it stopped.")] = False,
    lsro: Annotated[
        bool, typer.Option("--lsro", help="Learn from unlabeled mashups too (mix networks).")
    ] = False,
    mended: Annotated[
        bool, typer.Option("--mended", help="Without the published defects (song-masher).")
    ] = False,
    limit_songs: Annotated[
        int | None, typer.Option(metavar="N", help="Render only N train songs of MIDI.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a model and write its checkpoint, with settings, data hash and metrics inside."""
    trainer = _trainer(model)
    settings = invocation(ctx).settings(device=device)
    _check_meant(model, lsro=lsro, mended=mended, limit_songs=limit_songs)
    request = TrainRequest(
        model=model,
        data=_each_once(_there([*data, *(more or [])])),
        out=_checked(out or Path(f"{model}.safetensors")),
        epochs=epochs,
        minutes=minutes,
        device=settings.device,
        seed=seed,
        resume=resume,
        lsro=lsro,
        jobs=settings.workers,
        mended=mended,
    )
    begun = (*_begun_anew(request), *_midi_beside_audio(request.data))
    for note in begun:
        _LOGGER.warning("%s", note)
    with progress(f"training {model}") as bar:
        try:
            report = _trained(trainer, request, bar, limit_songs)
        except KeyboardInterrupt:
            raise Interrupted(
                "Interrupted.", hint="The same command with --resume goes on from there."
            ) from None
    for note in report.notes:
        _LOGGER.warning("%s", note)
    _show(model, replace(report, notes=(*begun, *report.notes)), json=json)


def _check_meant(model: str, *, lsro: bool, mended: bool, limit_songs: int | None) -> None:
    """Options that mean nothing to a model are refused."""
    if lsro and model not in WITH_LSRO:
        raise UsageError(f"--lsro does not apply to {model}.", hint="Leave --lsro out.")
    if mended and model != "song-masher":
        raise UsageError(f"--mended does not apply to {model}.", hint="Leave --mended out.")
    if limit_songs is not None and model in READ_NOTES:
        raise UsageError(
            f"--limit-songs does not apply to {model}: it reads notes and renders no song.",
            hint="Leave --limit-songs out.",
        )
    if limit_songs is not None and limit_songs < 2:
        raise UsageError(
            f"--limit-songs {limit_songs} leaves no two songs to tell apart.",
            hint="Give 2 or more.",
        )


def _trainer(model: str) -> Trainer:
    if model not in TRAINERS:
        raise UsageError(
            f"There is no model {model!r} that can be trained.",
            hint=f"Choose one of {', '.join(TRAINERS)}.",
            code="bad_model",
        )
    return cast("Trainer", importlib.import_module(TRAINERS[model]).run)


def _trained(
    trainer: Trainer, request: TrainRequest, bar: Bar, limit_songs: int | None
) -> TrainReport:
    """Songs of MIDI files become sound first, but for the models that read notes."""
    from engine.training.deadline import Deadline

    def tell(text: str) -> None:
        bar.describe(text)
        _LOGGER.info("%s", text)

    notes: tuple[str, ...] = ()
    deadline = Deadline(request.minutes)
    if request.model not in READ_NOTES:
        from engine.training.midi_audio.training import rendered_request
        from engine.training.requests import pick_device

        pick_device(request.device)  # one that is not there is said before hours of rendering
        preparing = deadline.telling(tell)
        request, notes = rendered_request(request, preparing, limit_songs=limit_songs)
        if request.notes:
            left = deadline.minutes_left()  # more than none, or this is where it ends:
            preparing("the songs are rendered")
            request = replace(request, minutes=left)
    report = trainer(request, tell)
    return replace(report, notes=(*notes, *report.notes))


def _there(data: Sequence[Path]) -> Sequence[Path]:
    """A mistyped folder is said before hours of training without it."""
    for path in data:
        try:
            path.stat()
        except OSError as error:
            is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            why = "does not exist" if is_gone else f"cannot be read: {error.strerror or error}"
            raise UnusableInput(
                f"{path} {why}; nothing was trained.",
                hint="Check the spelling after --data; put quotes around names with spaces.",
                code="missing" if is_gone else "unreadable",
            ) from error
    return data


def _each_once(data: Sequence[Path]) -> tuple[Path, ...]:
    """What is given twice would count twice."""
    found: dict[Path, Path] = {}
    for path in data:
        found.setdefault(path.resolve(), path)
    return tuple(found.values())


def _checked(out: Path) -> Path:
    """What cannot be written is said before hours of work, not after them."""
    if out.suffix != ".safetensors":
        raise UsageError(
            f"A checkpoint's name must end in .safetensors, got {out}.",
            hint="Give another name with --out.",
            code="bad_suffix",
        )
    if out.is_dir():
        raise UnwritableOutput(f"{out} is a folder.", hint="Give the name of a file to --out.")
    require_writable(out.parent)
    return out


def _begun_anew(request: TrainRequest) -> tuple[str, ...]:
    """Said where there is nothing to go on from, or where an unfinished run is not gone on with.

    Raises:
        MissingDependency: what is to be gone on from is no checkpoint of this model.
        UsageError: it was begun with another seed, with which other songs are rendered.
    """
    from engine.training.earlier_runs import check_seed, load_to_resume
    from engine.training.run_files import has_earlier_run, is_unfinished

    if request.resume and request.out.is_file():
        load_to_resume(request.out, request.model)
    if request.resume and request.model not in READ_NOTES:
        check_seed(request.out, request.model, request.seed)
    if request.resume and not has_earlier_run(request.out):
        return (f"There is no earlier run of {request.out} to go on from; it begins now.",)
    if not request.resume and is_unfinished(request.out):
        return (
            f"The unfinished run of {request.out} will be started over; --resume continues it.",
        )
    return ()


def _midi_beside_audio(data: Sequence[Path]) -> tuple[str, ...]:
    """Said of folders whose MIDI files are no songs of their own."""
    from engine.library.place import DATABASE_NAME
    from engine.training.midi_audio.index import is_midi_corpus
    from engine.training.midi_audio.scan import is_midi

    folders = [p for p in data if p.is_dir() and not (p / DATABASE_NAME).is_file()]
    counts = {p: sum(map(is_midi, p.rglob("*"))) for p in folders if not is_midi_corpus(p)}
    return tuple(
        f"{path}: {count} MIDI file{'s are' if count > 1 else ' is'} not read, because audio lies "
        "beside it."
        for path, count in counts.items()
        if count
    )


def _show(model: str, report: TrainReport, *, json: bool) -> None:
    if json:
        emit_json(
            {
                "model": model,
                "checkpoint": str(report.checkpoint.resolve()),
                "finished": report.finished,
                "steps": report.steps,
                "metrics": dict(report.metrics),
                "notes": list(report.notes),
            }
        )
        return
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in report.metrics.items())
    emit_text(f"{report.checkpoint}  {report.steps} steps  {metrics}".rstrip())
    if not report.finished:
        emit_text("The time was up before the end; go on with --resume.")

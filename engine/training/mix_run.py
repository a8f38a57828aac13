"""The way from folders of songs to a trained PreMixNet or PostMixNet.

Songs are split before anything is paired, as the list of a rendered corpus says or else four to one
by composition, so no stem of a held-out song is ever trained on. A third of the examples is
original, a third matched, and a third unmatched in equal parts of the three kinds (the paper's
thirds; its parts of the last third are not told). Their planes lie in a folder beside the
checkpoint and are found again by the next run.

On a CPU the network has an eighth of the published filters and a bottleneck of 32 channels
(0.41 million numbers in place of 38.76) and learns fast for a few rounds; on a GPU it is the
published one, trained at the published rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from engine.errors import SomeItemsFailed, UsageError
from engine.mashup.database import MASHUP_ROLES, MashupDB
from engine.mashup.generation import Condition, generate
from engine.models.huang import NetKind, NetSettings
from engine.training.huang import MixTraining, train_mix
from engine.training.material import open_material
from engine.training.midi_audio.listing import read_listing
from engine.training.mix_crops import CropSet, make_crops
from engine.training.requests import Tell, TrainReport, TrainRequest, pick_device

__all__ = ["run"]

_KINDS: Final[dict[str, NetKind]] = {"premixnet": "premixnet", "postmixnet": "postmixnet"}
#: Share of compositions that is held out: four to one.
HELD_OUT: Final = 0.2
#: Examples of each of the three kinds for every song with a voice, up to the paper's number.
EACH_PER_SONG: Final = 8
MOST_EACH: Final = 17169
#: Length of an example, of which a network sees four bars at a time.
BARS: Final = 8
#: What two CPU cores can train.
CPU_WIDTH: Final = 0.125
CPU_BOTTLENECK: Final = 32
#: Ten times the published rate, falling; five rounds instead of thirty.
CPU_LEARNING_RATE: Final = 1e-3
CPU_EPOCHS: Final = 5


def run(
    request: TrainRequest,
    tell: Tell,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> TrainReport:
    """Train ``request.model``.

    Raises:
        UnusableInput: no usable songs.
        UsageError: too few songs, or a run to go on with that was another.
        SomeItemsFailed: the minutes were over before all examples were read.
        MissingDependency: no such device.
    """
    deadline = None if request.minutes is None else clock() + 60.0 * request.minutes
    device = pick_device(request.device)
    work = request.out.with_name(f"{request.out.stem}-songs")
    material = open_material(request.data, work, jobs=request.jobs, tell=tell)
    prepared = _prepare(
        request,
        material.db,
        tell=tell,
        stop=lambda: deadline is not None and clock() >= deadline,
    )
    settings = _settings(request, device)
    seen = 0

    def told(loss: float) -> None:
        nonlocal seen
        seen += 1
        tell(f"training: step {seen}, loss {loss:.3f}")

    outcome = train_mix(
        prepared.train,
        prepared.held_out,
        settings,
        out=request.out,
        device=device,
        minutes=None if deadline is None else max(deadline - clock(), 0.0) / 60.0,
        resume=request.resume,
        clock=clock,
        report=told,
    )
    return TrainReport(
        checkpoint=request.out,
        finished=outcome.finished,
        steps=outcome.steps_done,
        metrics=outcome.metrics,
        notes=(*material.notes, *prepared.notes),
    )


@dataclass(frozen=True, eq=False)
class _Prepared:
    train: CropSet
    held_out: CropSet
    notes: tuple[str, ...]


def _prepare(
    request: TrainRequest,
    db: MashupDB,
    *,
    tell: Tell,
    stop: Callable[[], bool],
) -> _Prepared:
    """Both parts as planes."""
    notes: list[str] = []
    sets: list[CropSet] = []
    folder = request.out.with_name("mix-crops")
    for name, part in zip(("training", "held-out"), _split(request, db), strict=True):
        with_matched = request.lsro or name == "held-out"
        made = generate(part, _counts(part, matched=with_matched), seed=request.seed, bars=BARS)
        notes += [f"{name}: {count} × {why}" for why, count in made.reasons.items()]
        done = 0

        def told(part: str = name, total: int = len(made.examples)) -> None:
            nonlocal done
            done += 1
            tell(f"reading {part} example {done} of {total}")

        crops = make_crops(
            part,
            made.examples,
            folder,
            jobs=request.jobs,
            stop=stop,
            made_one=told,
        )
        if not crops.complete:
            raise _out_of_time(name, len(crops), len(made.examples))
        if crops.unusable:
            notes.append(f"{name}: {crops.unusable} examples could not be read")
        sets.append(crops)
    if not len(sets[0]):
        raise UsageError(
            f"No example can be made of {len(db.songs)} songs.",
            hint=f"Give songs with vocals, harmony and drums of {BARS} bars or more: five or more.",
            code="no_examples",
        )
    return _Prepared(sets[0], sets[1], tuple(notes))


def _split(request: TrainRequest, db: MashupDB) -> tuple[MashupDB, MashupDB]:
    """As a rendered corpus says it is to be split, by lot where there is no word of it."""
    listed = {
        song.song_id: song.split
        for folder in request.data
        for song in read_listing(folder)
        if song.song_id in db.by_id
    }
    if not {"train", "val"} <= set(listed.values()):
        return db.split(HELD_OUT, request.seed)
    train, held_out = (
        MashupDB(tuple(song for song in db.songs if listed.get(song.id) == split))
        for split in ("train", "val")
    )
    return train, held_out


def _counts(db: MashupDB, *, matched: bool) -> dict[Condition, int]:
    """How many examples of each condition."""
    voices = sum(set(MASHUP_ROLES) <= song.stems.keys() for song in db.songs)
    each = min(EACH_PER_SONG * voices, MOST_EACH)
    return {
        "original": each,
        "matched": each if matched else 0,
        "unmatched-key": each // 3,
        "unmatched-tempo": each // 3,
        "unmatched-both": each // 3,
    }


def _settings(request: TrainRequest, device: str) -> MixTraining:
    kind = _KINDS[request.model]
    settings = MixTraining(NetSettings(kind), lsro=request.lsro, seed=request.seed)
    if device == "cpu":
        settings = replace(
            settings,
            net=NetSettings(kind, CPU_WIDTH, CPU_BOTTLENECK),
            epochs=CPU_EPOCHS,
            learning_rate=CPU_LEARNING_RATE,
            decaying=True,
        )
    return settings if request.epochs is None else replace(settings, epochs=request.epochs)


def _out_of_time(part: str, done: int, total: int) -> SomeItemsFailed:
    return SomeItemsFailed(
        f"The time was over when {done} of {total} {part} examples were read; there is no "
        "checkpoint yet.",
        hint="Run the same command again: it goes on where this one stopped.",
        code="out_of_time",
    )

"""The way from mashups, or from songs to make mashups of, to song-masher and its mask network.

Three networks are trained one after the other on the same mashups
(:mod:`engine.training.song_masher.data`), a third of the minutes each: magnitudes into the named
checkpoint, phases into ``NAME-phase.safetensors``, and the mask network, which is the one of use,
into ``NAME-mask.safetensors``. Unless the request says mended, song-masher is trained with all
published defects.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.audio.stretch import Stretcher
from engine.errors import UsageError
from engine.models.song_masher.network import Defects, MasherConfig
from engine.training.deadline import Deadline
from engine.training.requests import Tell, TrainReport, TrainRequest, pick_device
from engine.training.resuming import WAS_DONE, Outcome
from engine.training.song_masher.data import MashupSets, mashup_sets
from engine.training.song_masher.mask_training import MaskTraining, train_mash_mask
from engine.training.song_masher.training import MasherTraining, train_song_masher
from engine.training.watching import Progress

__all__ = ["MasherPlan", "run"]


@dataclass(frozen=True)
class MasherPlan:
    """How the three networks are trained; seeds, and the first two's epochs, are the request's."""

    magnitude: MasherTraining = field(default_factory=MasherTraining)
    phase: MasherTraining = field(default_factory=lambda: MasherTraining(MasherConfig("phase")))
    mask: MaskTraining = field(default_factory=MaskTraining)


def run(
    request: TrainRequest,
    tell: Tell,
    *,
    plan: MasherPlan | None = None,
    stretcher: Stretcher | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainReport:
    """Train all three, as ``request`` says; ``plan`` is the published run when None.

    Raises:
        UnusableInput: no mashups and no songs, or none that can be decoded.
        UsageError: a run to go on with that was another.
        SomeItemsFailed: the minutes were over before all mashups were read or made.
        MissingDependency: no such device, or no stretcher.
    """
    device = pick_device(request.device)
    deadline = Deadline(request.minutes, clock=clock)
    sets = mashup_sets(request, tell, deadline=deadline, stretcher=stretcher)
    deadline.telling(tell)("beginning to train")
    left = deadline.minutes_left()
    outcomes: dict[str, Outcome] = {}
    notes = list(sets.notes)
    for name, start in _trainers(request, plan or MasherPlan(), left, clock).items():
        tell(f"training the {name} network on {len(sets.train)} mashups")
        report = _reporting(name, tell)
        try:
            outcomes[name] = start(sets, device, request.resume, report)
        except UsageError as error:
            if error.code != "resume_mismatch" or not outcomes:
                raise  # the first network says which run is meant; the others follow it
            notes.append(f"{error.message} The {name} network is trained anew.")
            outcomes[name] = start(sets, device, False, report)
    if all(outcome.was_done for outcome in outcomes.values()):
        notes.append(WAS_DONE)
    return TrainReport(
        checkpoint=request.out,
        finished=all(outcome.finished for outcome in outcomes.values()),
        steps=sum(outcome.steps_done for outcome in outcomes.values()),
        metrics={
            f"{name}_{metric}": value
            for name, outcome in outcomes.items()
            for metric, value in outcome.metrics.items()
        },
        notes=tuple(notes),
    )


#: Told how far a network is.
_Report = Callable[[Progress], None]
#: Mashups, a device, whether to go on from an earlier run, and who is told of every step.
_Start = Callable[[MashupSets, str, bool, _Report], Outcome]


def _reporting(name: str, tell: Tell) -> _Report:
    return lambda progress: tell(f"training the {name} network: {progress}")


def _trainers(
    request: TrainRequest, plan: MasherPlan, left: float | None, clock: Callable[[], float]
) -> dict[str, _Start]:
    """The three runs by name; each is a :data:`_Start`. ``left`` is minutes for all."""
    minutes = None if left is None else left / 3

    def masher(training: MasherTraining, out: Path) -> _Start:
        epochs = training.epochs if request.epochs is None else request.epochs
        network = training.network
        if request.mended:
            network = replace(network, defects=Defects.none())
        asked = replace(training, network=network, seed=request.seed, epochs=epochs)
        return lambda sets, device, resume, report: train_song_masher(
            sets.train,
            asked,
            out=out,
            validation=sets.unseen,
            data_sha=sets.data_sha,
            minutes=minutes,
            resume=resume,
            clock=clock,
            device=device,
            report=report,
        )

    def mask(sets: MashupSets, device: str, resume: bool, report: _Report) -> Outcome:
        return train_mash_mask(
            sets.train,
            replace(plan.mask, seed=request.seed),
            out=_beside(request.out, "mask"),
            validation=sets.unseen,
            data_sha=sets.data_sha,
            minutes=minutes,
            resume=resume,
            clock=clock,
            device=device,
            report=report,
        )

    return {
        "magnitude": masher(plan.magnitude, request.out),
        "phase": masher(plan.phase, _beside(request.out, "phase")),
        "mask": mask,
    }


def _beside(out: Path, part: str) -> Path:
    return out.with_name(f"{out.stem}-{part}{out.suffix}")

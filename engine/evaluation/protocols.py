"""The protocols by name, and the models that take part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from engine.errors import MissingDependency, UnusableInput, UsageError
from engine.evaluation.corpus import EvaluationSong, Mixtures, of_one_metre
from engine.evaluation.report import Protocol, Report, Task
from engine.models.ranker import Ranker

__all__ = ["FEW_SONGS", "evaluate", "parse_protocol", "rankers_for"]

#: Intervals from five or ten clusters cover less than they claim (Cameron, Gelbach and Miller,
#: "Bootstrap-based improvements for inference with clustered errors", REStat 2008).
FEW_SONGS: Final = 10


def parse_protocol(text: str) -> Protocol:
    """The protocol called ``text``.

    Raises:
        UsageError: no such protocol.
    """
    known: tuple[Protocol, ...] = get_args(Protocol)
    for protocol in known:
        if protocol == text.strip().lower():
            return protocol
    raise UsageError(
        f"{text!r} is not a protocol.",
        hint=f"Choose one of {', '.join(known)}.",
        code="bad_protocol",
    )


def rankers_for(names: str | None, *, folders: Sequence[Path] = ()) -> tuple[Ranker, ...]:
    """The models of a comma-separated list; None takes all that need nothing more, weakest first.

    ``folders`` are looked through for trained checkpoints.

    Raises:
        UsageError: no such model, none, or one named twice.
        MissingDependency: a named model has no trained checkpoint here, or one that is there is
            damaged, newer or of another network.
    """
    from engine.models.registry import MODEL_NAMES

    if names is not None:
        wanted = names.replace(",", " ").split()
        if not wanted:
            raise UsageError(
                "--models names no model.",
                hint="Write --models automashupper,random, or leave it out for all that are there.",
                code="bad_model",
            )
        if len(set(wanted)) != len(wanted):
            raise UsageError(
                f"{names!r} does not name every model once.",
                hint="Write --models automashupper,random.",
                code="bad_model",
            )
        return tuple(_ranker(name, folders) for name in wanted)
    found = []
    for name in reversed(MODEL_NAMES):
        try:
            found.append(_ranker(name, folders))
        except MissingDependency as error:
            if error.code != "no_checkpoint":
                raise  # it would be missing from the table without a word
    return tuple(found)


def _ranker(name: str, folders: Sequence[Path]) -> Ranker:
    """One model; what is wrong with its checkpoint is told in the words of this command."""
    from engine.models.registry import load_ranker

    try:
        return load_ranker(name, folders=folders)
    except MissingDependency as error:
        if error.code == "no_checkpoint":
            raise
        raise MissingDependency(
            error.message,
            hint=f"Put another file there or delete it, or leave out {name}: "
            "--models random,automashupper.",
            code=error.code,
        ) from error


def evaluate(
    protocol: Protocol,
    songs: Sequence[EvaluationSong],
    mixtures: Mixtures,
    rankers: Sequence[Ranker],
    *,
    seed: int = 0,
) -> Report:
    """Every model on the same items of one protocol.

    Raises:
        UnusableInput: the songs hold no item of this protocol.
    """
    tasks = _tasks(protocol, songs, mixtures, rankers, seed)
    if not tasks:
        raise UnusableInput(
            f"{'This song contains' if len(songs) == 1 else f'These {len(songs)} songs contain'} "
            f"nothing that the {protocol} protocol can test.",
            hint="It needs two songs or more, kway of one metre; huang and alignment need vocals "
            "in one of them, and songs of ten and of twenty bars; huang needs songs that are near "
            "each other in tempo and key.",
            code="no_items",
        )
    titles = tuple(song.title for song in songs)
    notes = (*_left_out(protocol, songs, tasks), *_few(tasks))
    return Report(protocol, titles, tuple(tasks), notes, seed)


def _left_out(
    protocol: Protocol, songs: Sequence[EvaluationSong], tasks: Sequence[Task]
) -> tuple[str, ...]:
    """Songs that no question is about, and vocals that nothing is matched with."""
    if protocol == "huang":
        return _unmatched(songs, tasks[0].results[0].overall.queries)
    if protocol != "kway":
        return ()
    asked = of_one_metre(songs)
    count = len(songs) - len(asked)
    if not count:
        return ()
    are = "1 song of another metre takes" if count == 1 else f"{count} songs of other metres take"
    return (f"{are} no part: kway asks those with {asked[0].beats_per_bar} beats in a bar.",)


def _unmatched(songs: Sequence[EvaluationSong], asked: int) -> tuple[str, ...]:
    from engine.evaluation.axes import originals_of

    count = sum(len(originals_of(song)) for song in songs) - asked
    if not count:
        return ()
    have = "1 vocal window has" if count == 1 else f"{count} vocal windows have"
    return (f"{have} no harmony or drums of about its tempo and key to be matched with.",)


def _few(tasks: Sequence[Task]) -> tuple[str, ...]:
    """What a reader of the table must know about its intervals."""
    asked = {task.name: task.results[0].overall.songs for task in tasks}
    few = [f"{name} ({count})" for name, count in asked.items() if count < FEW_SONGS]
    if not few:
        return ()
    return (
        f"Fewer than {FEW_SONGS} songs ask the questions of {', '.join(few)}: "
        "read their intervals as rough, and too narrow; one song has none.",
    )


def _tasks(
    protocol: Protocol,
    songs: Sequence[EvaluationSong],
    mixtures: Mixtures,
    rankers: Sequence[Ranker],
    seed: int,
) -> list[Task]:
    if protocol == "retrieval":
        from engine.evaluation.retrieval import stem_tasks, vocal_tasks

        tasks = stem_tasks(songs, mixtures, rankers, seed=seed)
        return tasks + vocal_tasks(songs, rankers, seed=seed)
    if protocol == "kway":
        from engine.evaluation.kway import kway_tasks

        return kway_tasks(songs, mixtures, rankers, seed=seed)
    if protocol == "huang":
        from engine.evaluation.huang import huang_tasks

        return huang_tasks(songs, rankers, seed=seed)
    from engine.evaluation.alignment import alignment_tasks
    from engine.evaluation.time_shift import time_shift_tasks

    tasks = alignment_tasks(songs, rankers, seed=seed)
    return tasks + time_shift_tasks(songs, mixtures, rankers, seed=seed)

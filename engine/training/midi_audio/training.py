"""A training request whose MIDI corpora have become libraries of rendered songs.

Train songs to learn from and val songs to validate on go into one library, in the user's cache
folder, named by what is rendered: every model that is trained on the same corpus finds it there.
It holds nothing else, so songs that have left the corpus are no longer trained on.
The ``fit`` model is not concerned, it reads notes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.errors import UnusableInput
from engine.training.midi_audio.corpus import NO_SPLIT, CorpusOptions, render_corpus
from engine.training.midi_audio.index import is_midi_corpus
from engine.training.requests import Tell, TrainRequest

__all__ = ["TRAINING_S", "rendered_request"]

#: Length of a rendered stretch: enough for several crops of every kind of training [s].
TRAINING_S: Final = 60.0
#: One song validates for so many that train.
_TRAIN_PER_VAL: Final = 6
#: A single song has no other to be told from.
_FEWEST_VAL: Final = 2


def rendered_request(
    request: TrainRequest,
    tell: Tell,
    *,
    limit_songs: int | None = None,
    seconds: float = TRAINING_S,
    cache: Path | None = None,
) -> tuple[TrainRequest, tuple[str, ...]]:
    """The request with a library in the place of every corpus, and what a person should know.

    Args:
        request: as it was given.
        tell: told what is being done.
        limit_songs: train songs of each corpus; all when None.
        seconds: length of the stretch that is rendered of each song.
        cache: where the libraries lie; the user's cache by default.

    Raises:
        MissingDependency: no fluidsynth, or no soundfont.
        UnusableInput: a corpus holds no usable song.
    """
    options = CorpusOptions(
        "train", limit=limit_songs, seconds=seconds, seed=request.seed, jobs=request.jobs
    )
    data: list[Path] = []
    corpora: list[Path] = []
    notes: list[str] = []
    for path in request.data:
        if not is_midi_corpus(path):
            data.append(path)
            continue
        library = _library_for(path, options, cache or _user_cache())
        tell(f"rendering {path.name} into {library}")
        notes += _render(path, library, options, tell)
        data.append(library)
        corpora.append(path)
    return replace(request, data=tuple(data), notes=tuple(corpora)), tuple(dict.fromkeys(notes))


def _render(path: Path, library: Path, options: CorpusOptions, tell: Tell) -> tuple[str, ...]:
    few = None if options.limit is None else max(-(-options.limit // _TRAIN_PER_VAL), _FEWEST_VAL)
    train = render_corpus(path, library, options, is_own=True, tell=tell)
    held_out = replace(options, split="val", limit=few)
    try:
        val = render_corpus(path, library, held_out, is_own=True, tell=tell)
    except UnusableInput as error:
        if error.code != NO_SPLIT:
            raise
        return (
            *train.notes,
            f"{path.name} has no songs to validate on; a part of the others does.",
        )
    return (*train.notes, *val.notes)


def _library_for(path: Path, options: CorpusOptions, cache: Path) -> Path:
    said = f"{path.resolve()} {options.seed} {options.limit} {options.seconds}"
    return cache / f"{path.name.split('.')[0]}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _user_cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("dawlink")) / "rendered"

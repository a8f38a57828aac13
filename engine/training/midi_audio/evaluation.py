"""Songs of MIDI corpora for the tables that compare models.

Models are told apart by how they rank a song's own stems against those of others, so of each
composition only one variant may take part: its other variants would be right answers that count as
wrong ones.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

from engine.errors import UsageError
from engine.training.midi_audio.corpus import CorpusOptions, render_corpus
from engine.training.midi_audio.listing import read_listing
from engine.training.midi_corpus import Split
from engine.training.requests import Tell

__all__ = ["EVALUATION_S", "comparable_songs", "rendered_songs", "require_split"]

#: Length of a rendered stretch: the windows of every protocol fit into it several times [s].
EVALUATION_S: Final = 64.0


def rendered_songs(
    corpora: Sequence[Path],
    library: Path,
    split: Split,
    *,
    limit: int | None,
    seed: int,
    jobs: int,
    tell: Tell,
) -> tuple[list[str], tuple[str, ...]]:
    """Ids of the songs of one split, rendered into a library, and what a person should know.

    Args:
        corpora: folders or archives of MIDI.
        library: made when it is not there.
        split: train, val or test.
        limit: songs of each corpus; all when None.
        seed: of everything random.
        jobs: songs rendered at once.
        tell: told what is being done.

    Raises:
        MissingDependency: no fluidsynth, or no soundfont.
        UnusableInput: a corpus holds no usable song.
    """
    options = CorpusOptions(split, limit=limit, seconds=EVALUATION_S, seed=seed, jobs=jobs)
    ids: list[str] = []
    notes: list[str] = []
    for corpus in corpora:
        rendered = render_corpus(corpus, library, options, tell=tell)
        ids += [song.song_id for song in rendered.songs]
        notes += rendered.notes
    return list(dict.fromkeys(ids)), tuple(dict.fromkeys(notes))


def comparable_songs(
    song_ids: Sequence[str], library: Path, split: Split | None = None
) -> list[str]:
    """Those songs of which no two are one composition, the first of each, in their order.

    Rendered songs that are no longer as their corpus has them take no part.

    Args:
        song_ids: of the library; songs that were not rendered from a corpus are compositions of
            their own.
        library: the folder.
        split: leaves out rendered songs of other splits; all take part when None.

    Raises:
        UsageError: none of the songs was rendered from a corpus and is of ``split``.
    """
    if split is not None:
        require_split(library, split, song_ids)
    listed = {song.song_id: song for song in read_listing(library)}
    found: dict[str, str] = {}
    for song_id in song_ids:
        song = listed.get(song_id)
        if song is None:
            found.setdefault(song_id, song_id)
        elif song.is_current and split in (None, song.split):
            found.setdefault(f"group {song.group}", song_id)
    return list(found.values())


def require_split(library: Path, split: Split, song_ids: Container[str] | None = None) -> None:
    """Refuse a split that no song is of: other songs would be taken for that part of a corpus.

    Args:
        library: the folder.
        split: asked for.
        song_ids: the songs that take part; all of the library when None.

    Raises:
        UsageError: no song that was rendered from a corpus is of it.
    """
    for song in read_listing(library):
        if (
            song.is_current
            and song.split == split
            and (song_ids is None or song.song_id in song_ids)
        ):
            return
    raise UsageError(
        f"--split {split} does not apply: none of these songs is of that part of a MIDI corpus.",
        hint="Leave --split out, or give a folder of MIDI songs as --data.",
        code="bad_split",
    )

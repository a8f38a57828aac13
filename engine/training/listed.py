"""What the lists of rendered libraries say of songs and of compositions.

A word (train, val, test) on a song is one on its whole composition, in every library that is given,
and whether that song itself can be used or not. Of several words the strictest holds. A rendering
that is no longer as its corpus has it says nothing of its composition: it is only kept from being
trained on itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.training.midi_audio.listing import read_listing
from engine.training.midi_corpus import Split

__all__ = ["ListedWords", "listed_words", "strictest"]

_STRICTNESS: Final[Mapping[Split, int]] = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class ListedWords:
    """What may be done with songs, by id, and with compositions, by name."""

    of_song: Mapping[str, Split]
    of_group: Mapping[str, Split]

    def of(self, song_id: str, group: str) -> Split | None:
        """The stricter of the words on a song and on its composition; None where there is none."""
        both = (self.of_song.get(song_id), self.of_group.get(group))
        words = [split for split in both if split is not None]
        return max(words, key=_STRICTNESS.__getitem__, default=None)

    def groups(self, *splits: Split) -> frozenset[str]:
        """Compositions of which one of these is said."""
        return frozenset(group for group, split in self.of_group.items() if split in splits)


def listed_words(data: Iterable[Path]) -> ListedWords:
    """The words of all lists.

    Args:
        data: libraries and folders; those without a list say nothing.

    Raises:
        LibraryUnusable: a list is damaged or cannot be read.
    """
    rows = [row for folder in data for row in read_listing(folder)]
    current = [row for row in rows if row.is_current]
    said = strictest((row.song_id, row.split) for row in current)
    return ListedWords(
        strictest((row.song_id, row.own_split) for row in rows),
        strictest((row.group, said[row.song_id]) for row in current),
    )


def strictest(said: Iterable[tuple[str, Split]]) -> dict[str, Split]:
    """Of several words on one name the strictest."""
    found: dict[str, Split] = {}
    for name, split in said:
        found[name] = max(found.get(name, split), split, key=_STRICTNESS.__getitem__)
    return found

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.mashup.generation import StemUse
from engine.models.mix_nets.beat_mel import FRAMES_PER_BEAT
from engine.models.mix_nets.mel import MEL
from engine.training.mix_nets import material
from engine.training.mix_nets.drawn_planes import Beats
from engine.training.mix_nets.material import DrawnSongs
from tests.engine.training.scores import made_up_song

BEATS = 16
USE = StemUse("1.mid", "harmonic", 2, 1)


@pytest.fixture
def songs() -> DrawnSongs:
    return DrawnSongs([made_up_song(seed) for seed in range(3)], bars=BEATS // 4)


def plane(
    songs: DrawnSongs, use: StemUse = USE, *, sound: int = 7, bleed_db: float | None = None
) -> NDArray[np.float32]:
    return songs.plane(use, beats=BEATS, tempo_bpm=100.0, sound=sound, bleed_db=bleed_db)


def test_a_song_keeps_its_sound_and_another_draw_has_another(songs: DrawnSongs) -> None:
    one, again, other = plane(songs), plane(songs), plane(songs, sound=8)
    assert one.shape == (BEATS * FRAMES_PER_BEAT, MEL.mels)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 1.0


def test_bleed_of_drums_is_heard_on_their_beats(songs: DrawnSongs) -> None:
    """Made-up drums hit every beat, so what comes in with them does; clean chords change by bar."""
    drums = plane(songs, StemUse("1.mid", "drums", 2), bleed_db=None)
    clean, bled = plane(songs), plane(songs, bleed_db=-3.0)
    new = bled - clean
    loud = drums > np.quantile(drums, 0.9)
    assert new[loud].mean() > new[~loud].mean() + 3.0
    moved = StemUse("1.mid", "harmonic", 2, 1, offset_s=0.3)
    late = plane(songs, moved, bleed_db=-3.0) - plane(songs, moved)
    in_time = np.corrcoef(drums.ravel(), new.ravel())[0, 1]
    assert in_time > np.corrcoef(drums.ravel(), late.ravel())[0, 1] + 0.05


def test_bleed_goes_at_the_speed_of_its_stem(
    songs: DrawnSongs, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds: list[float] = []
    for name in ("drawn_drums", "drawn_notes"):
        draw = getattr(material, name)

        def noting(notes: object, where: Beats, *args: object, draw=draw, **options: object):
            speeds.append(where.speed)
            return draw(notes, where, *args, **options)

        monkeypatch.setattr(material, name, noting)
    plane(songs, StemUse("1.mid", "harmonic", 2, stretched=False), bleed_db=-10.0)
    assert len(speeds) == 3
    assert len(set(speeds)) == 1
    assert speeds[0] != 1.0


def test_a_song_in_its_own_tempo_is_read_at_another_speed(songs: DrawnSongs) -> None:
    stretched = plane(songs)
    own = plane(songs, StemUse("1.mid", "harmonic", 2, 1, stretched=False))
    assert not np.array_equal(stretched, own)
    assert {song.scale is None for song in songs.songs} == {False}
    assert all(song.whole.size > 10 for song in songs.songs)

from __future__ import annotations

from dawlink.demo.songs import DEMO_SONGS, DEMO_VOCAL
from dawlink.demo.styles import STYLES
from engine.theory import signed_semitones


def test_a_dozen_different_songs_of_24_to_40_seconds() -> None:
    assert len(DEMO_SONGS) == 12
    for property_of in ("title", "tempo_bpm", "key", "style", "seed"):
        assert len({getattr(song, property_of) for song in DEMO_SONGS}) == 12
    assert all(24 <= song.duration_s <= 40 for song in DEMO_SONGS)
    assert {song.tempo_bpm for song in DEMO_SONGS} >= {84, 140}
    assert set(STYLES) == {song.style for song in DEMO_SONGS}


def test_the_vocal_has_three_accompaniments_within_reach() -> None:
    partners = [song for song in DEMO_SONGS if song.progression == DEMO_VOCAL.progression]
    assert len(partners) == 3
    for song in partners:
        assert song.key.mode == DEMO_VOCAL.key.mode
        shift = signed_semitones(song.key.tonic, DEMO_VOCAL.key.tonic)
        assert 1 <= abs(shift) <= 3
        assert 1 / 1.15 <= DEMO_VOCAL.tempo_bpm / song.tempo_bpm <= 1.15

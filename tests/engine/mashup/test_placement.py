from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grid import BeatGrid
from engine.mashup.levels import LevelledStem, group_gains, level_db
from engine.mashup.placement import Placement, loop_bars_for


def place(**rest: object) -> Placement:
    options: dict[str, object] = {
        "stem_id": "s1",
        "song_id": "g1",
        "role": "harmonic",
        "start_beat": 8,
        "bars": 8,
        "beats_per_bar": 4,
        "loop_bars": 8,
    }
    return Placement(**{**options, **rest})  # type: ignore[arg-type]


@given(st.integers(1, 500), st.integers(1, 64))
def test_loops_fit_and_are_phrases(available: int, bars: int) -> None:
    loop = loop_bars_for(available, bars)
    assert 1 <= loop <= min(available, bars)
    assert loop == bars or (loop & (loop - 1)) == 0
    assert loop == bars or 2 * loop > available


def test_warp_runs_from_beat_to_beat() -> None:
    grid = BeatGrid(np.cumsum(np.linspace(0.4, 0.6, 80)))
    warp = place().warp(grid)
    assert len(warp) == 33
    assert [point.beat for point in warp] == list(range(33))
    np.testing.assert_allclose([point.source_s for point in warp], grid.beats_s[8:41])


@pytest.mark.parametrize(("multiplier", "points", "end"), [(0.5, 65, 72), (2.0, 17, 24)])
def test_folded_warp(multiplier: float, points: int, end: int) -> None:
    grid = BeatGrid.constant(120, end_s=60)
    placement = place(multiplier=multiplier)
    warp = placement.warp(grid)
    assert len(warp) == points
    assert warp[-1].beat == 32
    assert placement.end_beat == end
    assert placement.source_span_s(grid) == (grid.beats_s[8], grid.beats_s[end])


def test_a_pass_may_end_within_a_source_beat() -> None:
    """Three beats of a session are one and a half of a source at half time."""
    warp = place(multiplier=2.0, beats_per_bar=3, bars=1, loop_bars=1).warp(
        BeatGrid.constant(120, end_s=60)
    )
    assert [(point.source_s, point.beat) for point in warp] == [(4.0, 0), (4.5, 2), (4.75, 3)]


def test_drums_are_never_transposed() -> None:
    with pytest.raises(ValueError, match="never transposed"):
        place(role="drums", semitones=1)


def test_repeats_count_the_last_part() -> None:
    assert place(bars=10, loop_bars=4).repeats == 3
    assert place().repeats == 1


def test_stems_of_one_song_share_a_gain_and_songs_are_matched() -> None:
    stems = [
        LevelledStem("sa", "g1", -20.0, -6.0),
        LevelledStem("sb", "g1", -30.0, -12.0),
        LevelledStem("sc", "g2", -40.0, -30.0),
    ]
    gains = group_gains(-18.0, stems)
    assert gains["sa"] == gains["sb"]
    first = 10 * np.log10(10**-2.0 + 10**-3.0) + gains["sa"]
    second = -40.0 + gains["sc"]
    assert first == pytest.approx(-21.0, abs=0.1)  # half of the clip's power each
    assert second == pytest.approx(-22.0, abs=0.1)  # +18 dB is the most


def test_gain_never_drives_a_stem_over_full_scale() -> None:
    gains = group_gains(-3.0, [LevelledStem("sa", "g1", -20.0, -1.0)])
    assert gains["sa"] == pytest.approx(0.7)


def test_level_counts_sounding_beats() -> None:
    bands = np.array([[0.1, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=np.float16)
    assert level_db(bands, np.array([True, False])) == pytest.approx(-20, abs=0.01)
    assert level_db(bands * 0, np.array([True, True])) == -120.0

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio.warp import WarpMap, attack_offset, plan_warp, working_rate

ANCHORS = ((1000, 500), (11000, 11500), (21000, 20000), (50000, 55000))


def test_a_map_goes_through_its_points_and_on_with_its_end_slopes() -> None:
    warp = WarpMap(np.array([0.0, 10.0, 20.0]), np.array([5.0, 25.0, 30.0]))
    assert warp.target_at(np.array([0.0, 5.0, 10.0, 15.0, 20.0])).tolist() == [5, 15, 25, 27.5, 30]
    assert warp.target_at(-1.0) == 3.0
    assert warp.target_at(24.0) == 32.0
    assert warp.slopes.tolist() == [2.0, 0.5]


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 999), st.integers(1, 999)), min_size=1))
def test_source_and_target_are_inverse(steps: list[tuple[int, int]]) -> None:
    points = np.cumsum(np.array([(0, 0), *steps], dtype=np.float64), axis=0)
    warp = WarpMap(points[:, 0], points[:, 1])
    for place in np.linspace(-500.0, points[-1, 0] + 500, 17):
        assert warp.source_at(warp.target_at(float(place))) == pytest.approx(place, abs=1e-6)


@pytest.mark.parametrize(
    ("rate", "worked_at"),
    [
        (44100, 44100), (48000, 48000), (88200, 44100), (96000, 48000), (192000, 48000),
        (22050, 44100), (24000, 48000), (32000, 48000), (8000, 48000),
    ],
)  # fmt: skip
def test_every_rate_is_worked_at_44_1_or_48_khz(rate: int, worked_at: int) -> None:
    assert working_rate(rate) == worked_at


def test_attacks_come_late_when_squeezed_and_early_when_stretched() -> None:
    slopes = np.array([0.8, 1.0, 1.25, 1.5, 2.0, 3.0])
    late = attack_offset(slopes)
    assert late[0] > 0
    assert late[1] == 0
    assert np.all(np.diff(late[1:]) < 0)


@pytest.mark.parametrize("rate", [22050, 44100, 96000])
@pytest.mark.parametrize(("pitch", "engine_pitch"), [(1.0, 1.0), (1.2, 1.0), (1.2, 1.2)])
def test_a_plan_puts_anchors_where_they_belong(
    rate: int, pitch: float, engine_pitch: float
) -> None:
    plan = plan_warp(ANCHORS, 60000, sample_rate=rate, pitch=pitch, engine_pitch=engine_pitch)
    assert plan.engine_pitch * plan.resampled_pitch == pytest.approx(pitch)
    assert np.all(np.diff(plan.warp.target) > 0)
    in_factor = plan.rate / rate
    for source, target in ANCHORS:
        stretched = plan.warp.target_at((source - plan.first_frame) * in_factor)
        frame = stretched / (in_factor * plan.resampled_pitch) - plan.lead_frames
        # All but the correction for attacks, which is a few ms.
        assert abs(frame - target) / rate < 0.008
    end = (plan.lead_frames + 60000) * in_factor * plan.resampled_pitch
    assert plan.stretched_frames > end + 1000


def test_the_plan_cuts_out_what_is_needed_and_no_more() -> None:
    hour = 3600 * 44100
    plan = plan_warp(
        ((0, 0), (hour, hour + 4)), 44100, sample_rate=44100, pitch=1.0, engine_pitch=1.0
    )
    assert plan.first_frame < 0
    assert plan.clip_frames < 2 * 44100

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.models.fit.curves import (
    ASKED,
    CURVE_BARS,
    GROUP,
    JUDGED,
    Curve,
    FitCurves,
    probability,
)

CURVE = Curve((2.0, 4.0, 6.0, 8.0), (-1.0, -1.0, -2.0, -4.0))


@pytest.mark.parametrize(
    ("bars", "slope", "offset"),
    [
        (1, 2, -1),
        (4, 2, -1),
        (8, 4, -1),
        (16, 6, -2),
        (23, 7.047, -3.047),
        (32, 8, -4),
        (99, 8, -4),
    ],
)
def test_a_curve_is_read_between_the_lengths_it_was_fitted_at(
    bars: int, slope: float, offset: float
) -> None:
    evidence = np.array([0.0, 0.5, 1.0], np.float32)
    found = CURVE.log_odds(evidence, bars)
    np.testing.assert_allclose(found, slope * evidence + offset, atol=2e-3)


def test_curves_survive_their_record() -> None:
    priced = Curve(CURVE.slopes, CURVE.offsets, (-0.1, -0.2, -0.3, -0.4))
    curves = FitCurves(
        dict.fromkeys(ASKED, priced), CURVE, 0.7, 0.2, 0.9, 1.3, dict.fromkeys(JUDGED, CURVE)
    )
    record = curves.record()
    assert FitCurves.of(record) == curves
    assert len(record) == 4 + 3 * len((*ASKED, "groove", *JUDGED)) * len(CURVE_BARS)
    del record["groove.offset.16"]
    with pytest.raises(KeyError, match=r"groove\.offset\.16"):
        FitCurves.of(record)


def test_probabilities_stay_inside_and_keep_the_order() -> None:
    odds = np.array([-1e4, -20, -1, 0, 1, 20, 1e4], np.float32)
    found = probability(odds)
    assert np.all((found > 0) & (found < 1))
    assert np.all(np.diff(found) >= 0)
    assert found[3] == 0.5


def test_what_was_chosen_from_more_places_is_worth_less() -> None:
    priced = Curve(CURVE.slopes, CURVE.offsets, (-0.2, -0.4, -0.4, -0.4))
    evidence = np.full(4, 0.5, np.float32)
    found = priced.log_odds(evidence, 8, np.array([1, 2, 4, 64]))
    np.testing.assert_allclose(found, 1.0 - 0.4 * np.array([0, 1, 2, 6]), atol=1e-6)
    np.testing.assert_allclose(priced.log_odds(evidence, 8), 1.0)
    np.testing.assert_allclose(priced.log_odds(evidence, 4, 8), [-0.6] * 4, atol=1e-6)


def test_roles_have_curves_of_their_own_and_sums_are_read_as_harmony() -> None:
    curves = FitCurves.plain(rules=0.1)
    asked = {role: Curve((float(n),) * 4, (0.0,) * 4) for n, role in enumerate(ASKED)}
    judged = {name: Curve((float(n),) * 4, (0.0,) * 4) for n, name in enumerate(JUDGED)}
    curves = replace(curves, asked=asked, judged=judged)
    assert curves.of_role("bass") == asked["bass"]
    assert curves.of_role("mix") == asked["harmonic"]
    assert curves.of_role("percussion") == asked["drums"]
    odds, opinion = np.full(3, 2.0, np.float32), np.ones(3, np.float32)

    def of(*roles: str) -> float:
        return float(curves.of_groups(roles, odds, opinion, 8)[0])

    curves = replace(curves, judge=0.5, group=0.5)
    assert of("vocals") == 2.5 * JUDGED.index("vocals")
    assert of("mix") == 2.5 * JUDGED.index("harmonic")
    assert of("bass", "drums") == of("bass", "other") == 2.5 * JUDGED.index(GROUP)
    unasked = curves.of_groups(["bass", "drums"], odds, None, 8)
    np.testing.assert_allclose(unasked, 1.0)
    np.testing.assert_allclose(curves.of_groups(["bass"], odds, None, 8), 2.0)


@pytest.mark.parametrize("changes", [{"group": 0.0}, {"group": 1.5}, {"judge": -0.1}])
def test_weights_that_cannot_be_meant_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="scale"):
        replace(FitCurves.plain(rules=0.1), **changes)


def test_a_curve_rises_with_evidence_and_never_with_places() -> None:
    with pytest.raises(ValueError, match="falls"):
        Curve((1.0, 1.0, -1.0, 1.0), (0.0,) * 4)
    with pytest.raises(ValueError, match="rises"):
        Curve((1.0,) * 4, (0.0,) * 4, (0.0, 0.1, 0.0, 0.0))


def test_a_curve_needs_every_length() -> None:
    with pytest.raises(ValueError, match="4 slopes"):
        Curve((1.0,), (0.0,))

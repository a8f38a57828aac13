from __future__ import annotations

import numpy as np
import pytest

from engine.models.fit_curves import CURVE_BARS, JUDGED, PAIRS, Curve, FitCurves, probability

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
    curves = FitCurves(
        dict.fromkeys(PAIRS, CURVE), 0.7, 0.2, 0.9, 1.3, dict.fromkeys(JUDGED, CURVE)
    )
    record = curves.record()
    assert FitCurves.of(record) == curves
    assert len(record) == 4 + 2 * len((*PAIRS, *JUDGED)) * len(CURVE_BARS)
    del record["stem_drums.offset.16"]
    with pytest.raises(KeyError, match=r"stem_drums\.offset\.16"):
        FitCurves.of(record)


def test_probabilities_stay_inside_and_keep_the_order() -> None:
    odds = np.array([-1e4, -20, -1, 0, 1, 20, 1e4], np.float32)
    found = probability(odds)
    assert np.all((found > 0) & (found < 1))
    assert np.all(np.diff(found) >= 0)
    assert found[3] == 0.5


def test_a_curve_needs_every_length() -> None:
    with pytest.raises(ValueError, match="4 slopes"):
        Curve((1.0,), (0.0,))

"""Sliding a clip along stems: conversions that the matrix products rest on."""

from __future__ import annotations

import numpy as np

from engine.models.alignment import widened


def test_every_finite_half_is_widened_exactly() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 4)
    np.testing.assert_array_equal(widened(finite), finite.astype(np.float32))


def test_widening_takes_views_and_leaves_them_as_they_were() -> None:
    values = np.linspace(-2, 2, 24, dtype=np.float16).reshape(4, 6)
    before = values.copy()
    np.testing.assert_array_equal(widened(values[::2, 1::2]), before[::2, 1::2].astype(np.float32))
    np.testing.assert_array_equal(values, before)

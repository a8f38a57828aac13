"""What pitch classes a key uses, as a chroma vector.

The profiles of Krumhansl and Kessler ("Tracing the dynamic changes in perceived tonal organization
in a spatial representation of musical keys", Psychological Review 1982), from C, scaled to norm 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.theory import Key

__all__ = ["key_profile"]

_MAJOR: Final = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR: Final = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def key_profile(key: Key) -> NDArray[np.float32]:
    """(12,) weights of the pitch classes of ``key``, from C, norm 1.

    The smallest weight is taken off first, so that foreign notes count for nothing.
    """
    weights = np.array(_MAJOR if key.mode == "major" else _MINOR, dtype=np.float32)
    weights = np.roll(weights - weights.min(), key.tonic)
    scaled: NDArray[np.float32] = weights / np.linalg.norm(weights)
    return scaled

"""A fit model that is trained in a moment, for tests of training."""

from __future__ import annotations

from engine.models.fit.towers import FitSizes
from engine.training.fit.steps import FitSettings

TINY = FitSizes(
    channels=6, pitch_values=2, rhythm_width=8, rhythm_values=4, judge_channels=4, judge_width=8
)
#: A few steps of everything: two teachers, their pupil, the judge.
FEW = FitSettings(
    sizes=TINY,
    steps=3,
    teachers=2,
    lessons=2,
    judge_steps=2,
    schedule=3,
    batch=6,
    bank=12,
    bank_passes=1,
)

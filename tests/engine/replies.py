"""A small answer to render, made without a library or any analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from engine.analysis.records import BEAT_ROW, KeyEstimate
from engine.clips.clip import ClipAnalysis, ClipRequest
from engine.grid import BeatGrid
from engine.mashup.placement import Placement
from engine.models.ranker import FitParts
from engine.suggestions import (
    SessionState,
    SuggestedStem,
    Suggestion,
    SuggestOptions,
    SuggestReply,
)
from engine.theory import Key, Role
from tests.sounds import clicks, drums

BARS = 2
A_MINOR = KeyEstimate(Key(9, "minor"), 1.0, "made")


def reply_with_two_stems(folder: Path) -> SuggestReply:
    """A clip of clicks and two drum tracks of two bars, at 110 in a session of 120 BPM."""
    grid = BeatGrid.constant(110, end_s=BARS * 240 / 110)
    voice = folder / "voice.wav"
    sung = clicks(grid.beats_s, 5)
    soundfile.write(voice, sung.samples.T, sung.sample_rate)
    roles: tuple[Role, ...] = ("harmonic", "percussion")
    stems = tuple(_stem(folder, number, role, grid) for number, role in enumerate(roles))
    clip = ClipAnalysis(
        request=ClipRequest(voice),
        end_s=5.0,
        grid=grid,
        bars=BARS,
        tempo_bpm=110.0,
        key=A_MINOR,
        tuning_cents=0.0,
        rows=np.zeros(4 * BARS, dtype=BEAT_ROW),
        active=np.ones(4 * BARS, dtype=np.bool_),
        peak_db=-3.0,
        sources=(),
        sha256="0" * 64,
        method="made",
    )
    return SuggestReply(
        model="made",
        clip=clip,
        options=SuggestOptions(),
        session=SessionState(120.0, A_MINOR.key, 4),
        suggestions=(Suggestion(1, 0.9, FitParts(), 1.0, stems),),
    )


def _stem(folder: Path, number: int, role: Role, grid: BeatGrid) -> SuggestedStem:
    path = folder / f"stem-{number}.wav"
    sound = drums(grid.beats_s, 5)
    soundfile.write(path, sound.samples.T, sound.sample_rate, subtype="FLOAT")
    placement = Placement(f"s{number}", f"g{number}", role, 0, BARS, 4, BARS, gain_db=-3.0)
    start_s, end_s = placement.source_span_s(grid)
    return SuggestedStem(
        placement=placement,
        title=f"Title {number}",
        path=path,
        tempo_bpm=110.0,
        key=A_MINOR,
        tuning_cents=0.0,
        reference_cents=0.0,
        ratio_out_in=110 / 120,
        source_start_s=start_s,
        source_end_s=end_s,
        storage_gain_db=0.0,
        grid=grid,
    )

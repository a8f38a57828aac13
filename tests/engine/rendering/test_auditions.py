"""Loops to listen to, and renders that begin elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.audio.stretch import RubberBandInProcess
from engine.audio.waveform import Waveform
from engine.rendering.auditions import audition, grouped
from engine.rendering.renderer import Session, render_track
from engine.rendering.tracks import render_from, stem_track
from tests.engine.replies import reply_with_two_stems

BEAT = 22050


class Interrupted(Exception):
    pass


def test_a_loop_is_as_long_as_asked_and_repeats(tmp_path: Path) -> None:
    reply = reply_with_two_stems(tmp_path)
    for bars in (1, 2, 4):
        session = Session(120.0, 4, bars, 44100)
        made = audition(
            reply,
            reply.suggestions[0],
            session,
            with_clip=False,
            stretcher=RubberBandInProcess(draft=True),
        )
        assert made.frames == bars * 4 * BEAT
        assert np.abs(made.samples).max() <= 0.98
    second, first = made.samples[:, 8 * BEAT : 9 * BEAT], made.samples[:, :BEAT]
    assert np.sqrt(np.mean(second**2)) == pytest.approx(np.sqrt(np.mean(first**2)), rel=0.2)


def test_the_clip_is_heard_when_asked_for(tmp_path: Path) -> None:
    reply = reply_with_two_stems(tmp_path)
    heard: list[int] = []

    def spread(work: object, tracks: list[object]) -> list[Waveform]:
        heard.append(len(tracks))
        return [Waveform(np.full((1, 4 * BEAT), 0.6, np.float32), 44100) for _ in tracks]

    session = Session(120.0, 4, 1, 44100)
    for with_clip in (False, True):
        made = audition(
            reply,
            reply.suggestions[0],
            session,
            with_clip=with_clip,
            stretcher=RubberBandInProcess(),
            spread=spread,  # type: ignore[arg-type]
        )
        assert float(made.samples.max()) == pytest.approx(0.98)
    assert heard == [2, 3]


def test_stems_of_several_suggestions_are_put_together(tmp_path: Path) -> None:
    reply = reply_with_two_stems(tmp_path)
    first = reply.suggestions[0]
    other = replace(first.stems[1], placement=replace(first.stems[1].placement, stem_id="s9"))
    second = replace(first, rank=2, stems=(first.stems[0], other))
    reply = replace(reply, suggestions=(first, second))
    assert grouped(reply, ["s1", "s0"]) is first
    assert grouped(reply, ["s9", "s0"]) is second
    mixed = grouped(reply, ["s1", "s9"])
    assert mixed is not None
    assert [stem.placement.stem_id for stem in mixed.stems] == ["s1", "s9"]
    assert grouped(reply, ["s0", "unknown"]) is None
    assert grouped(reply, []) is None


def test_a_render_may_begin_later(tmp_path: Path) -> None:
    track = stem_track(reply_with_two_stems(tmp_path).suggestions[0].stems[1])
    session = Session(120.0, 4, 2, 44100)
    whole = render_track(track, session, RubberBandInProcess())
    later = render_from(track, session, 3.0, RubberBandInProcess())
    assert later.frames == whole.frames
    np.testing.assert_allclose(
        later.samples[:, : 4 * BEAT], whole.samples[:, 3 * BEAT : 7 * BEAT], atol=0.02
    )
    assert np.abs(later.samples[:, 6 * BEAT :]).max() > 0.05  # the next pass has begun


def test_a_stretch_can_be_watched_and_stopped(tmp_path: Path) -> None:
    track = stem_track(reply_with_two_stems(tmp_path).suggestions[0].stems[0])
    session = Session(120.0, 4, 2, 44100)
    shares: list[float] = []
    render_track(track, session, RubberBandInProcess(watch=shares.append))
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.9

    def refuse(share: float) -> None:
        if share > 0.5:
            raise Interrupted

    with pytest.raises(Interrupted):
        render_track(track, session, RubberBandInProcess(watch=refuse))

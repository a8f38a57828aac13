from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio.stretch import default_stretcher
from engine.errors import UnusableInput
from engine.mashup.placement import WarpPoint
from engine.rendering import spans
from engine.rendering.renderer import Session, Track, render_track
from engine.rendering.spans import DecodedSpans, decoded_span


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    soundfile.write(tmp_path / "a.wav", rng.uniform(-0.5, 0.5, (48000 * 3, 2)), 48000)
    return tmp_path / "a.wav"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []

    def counted(path: Path, *span: float) -> object:
        seen.append(path)
        return decoded_span(path, *span)  # type: ignore[arg-type]

    monkeypatch.setattr(spans, "decoded_span", counted)
    return seen


def test_a_piece_is_read_once_and_is_what_the_decoder_gives(file: Path, reads: list[Path]) -> None:
    kept = DecodedSpans()
    first, second = kept(file, 0.5, 2.0, 44100), kept(file, 0.5, 2.0, 44100)
    assert len(reads) == 1
    np.testing.assert_array_equal(first.samples, decoded_span(file, 0.5, 2.0, 44100).samples)
    assert second is first
    kept(file, 0.5, 2.0, 48000)
    kept(file, 0.5, 2.5, 44100)
    assert len(reads) == 3


def test_a_file_that_has_changed_is_read_again(file: Path, reads: list[Path]) -> None:
    kept = DecodedSpans()
    kept(file, 0.0, 1.0, 48000)
    soundfile.write(file, np.full((48000 * 2, 2), 0.25), 48000)
    assert kept(file, 0.0, 1.0, 48000).samples == pytest.approx(0.25, abs=1e-3)
    file.unlink()
    with pytest.raises(UnusableInput):
        kept(file, 0.0, 1.0, 48000)


def test_what_was_used_longest_ago_goes_first(file: Path, reads: list[Path]) -> None:
    second = 48000 * 2 * 4  # bytes of one second
    kept = DecodedSpans(most_bytes=2 * second)
    kept(file, 0.0, 1.0, 48000)
    kept(file, 1.0, 2.0, 48000)
    kept(file, 0.0, 1.0, 48000)  # again: now the other is older
    kept(file, 2.0, 3.0, 48000)
    kept(file, 0.0, 1.0, 48000)
    assert len(reads) == 3
    kept(file, 1.0, 2.0, 48000)
    assert len(reads) == 4
    assert DecodedSpans(most_bytes=10)(file, 0.0, 1.0, 48000).frames == 48000


def test_a_render_from_kept_pieces_is_the_same(file: Path, reads: list[Path]) -> None:
    track = Track(file, "harmonic", (WarpPoint(0.2, 0.0), WarpPoint(2.4, 4.0)), semitones=2)
    session, kept = Session(112.0, 4, 2, 44100), DecodedSpans()
    fresh = render_track(track, session, default_stretcher())
    for _ in range(2):
        again = render_track(track, session, default_stretcher(), read=kept)
        np.testing.assert_array_equal(again.samples, fresh.samples)
    assert len(reads) == 1

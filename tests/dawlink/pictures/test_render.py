from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dawlink.pictures import plot_render
from dawlink.pictures.canvas import COLOURS
from engine.audio.encode import write_audio
from engine.audio.waveform import Waveform
from engine.delivery.records import RenderedFile, RenderedMix, RenderedSuggestion
from engine.errors import UnusableInput, UnwritableOutput, UsageError
from engine.mashup.placement import Placement, WarpPoint
from engine.rendering.renderer import Session
from engine.theory import Role
from tests.dawlink.pictures.drawn import columns_of, pixels, texts

RATE = 8000


def rendered(
    folder: Path,
    *,
    bars: int = 8,
    beats_per_bar: int = 4,
    loop_bars: int = 4,
    channels: int = 1,
    level: float = 0.5,
    title: str = "A song",
) -> RenderedSuggestion:
    """A clip, two stems and a mix of noise in the first half, at 120 BPM."""
    session = Session(120.0, beats_per_bar, bars, RATE)

    def write(ending: str, seed: int, gain: float = 1.0) -> Path:
        samples = np.random.default_rng(seed).uniform(-1, 1, (channels, session.frames))
        samples[:, session.frames // 2 :] = 0
        path = folder / f"01 {title} 120bpm C#m {ending}.wav"
        write_audio(path, Waveform((samples * level * gain).astype(np.float32), RATE))
        return path

    def stem(role: Role, seed: int, loop: int, **how: float) -> RenderedFile:
        placement = Placement("s", "g", role, 0, bars, beats_per_bar, loop, **how)
        warp = tuple(WarpPoint(0.4 * beat, beat) for beat in range(loop * beats_per_bar + 1))
        return RenderedFile(write(role, seed), Path("source.wav"), warp, placement)

    warp = (WarpPoint(1.0, 0), WarpPoint(1.0 + session.beats * 0.5, session.beats))
    return RenderedSuggestion(
        session=session,
        description=folder / "description.json",
        clip=RenderedFile(write("clip", 1), Path("clip.wav"), warp),
        mix=RenderedMix(write("mix", 2), -14.04, -1.02),
        stems=(
            stem("harmonic", 3, loop_bars, semitones=-2, gain_db=-3.21),
            stem("percussion", 4, bars, gain_db=-0.001),
        ),
    )


def test_the_facts_of_every_track_stand_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "render.svg"
    plot_render(rendered(tmp_path), path, title="One under the other")
    found = texts(path)
    assert found[-2] == "One under the other"
    assert found[-1] == "120 BPM | 8 bars of 4 beats | 16.0 s | 8 kHz"
    assert found.count("A song") == 3
    clip, harmonic, percussion, mix = (
        found.index(name) for name in ("clip", "harmonic", "percussion", "mix")
    )
    assert found[clip + 1 : clip + 3] == ["A song", "stretch ×1.000"]
    assert found[harmonic + 1 : harmonic + 4] == [
        "A song",
        "−2 st, −3.2 dB",
        "stretch ×1.250, loops 4 bars",
    ]
    assert found[percussion + 1 : percussion + 4] == ["A song", "+0.0 dB", "stretch ×1.250"]
    assert found[mix + 1 : mix + 3] == ["−14.0 LUFS", "peak −1.0 dBTP"]
    assert {"1", "8", "of the mix", "100", "2k"} <= set(found)
    assert "5k" not in found  # above half the sample rate


def test_sound_is_drawn_on_the_bars_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "render.png"
    plot_render(rendered(tmp_path), path, title="x")
    assert pixels(path).shape[1] == 1600
    left, right = 2.0 / 10, 9.8 / 10
    for colour in (COLOURS["percussion"], COLOURS["mix"], "#2176b4"):
        across = columns_of(path, colour)
        drawn = across[(across > left) & (across < right)]
        half = drawn < (left + right) / 2 + 0.005
        assert np.count_nonzero(half) > 20 * np.count_nonzero(~half)
        assert drawn[half].max() > (left + right) / 2 - 0.01


@pytest.mark.parametrize(
    "how",
    [
        {"bars": 1, "beats_per_bar": 7, "loop_bars": 1},
        {"bars": 1, "beats_per_bar": 1, "loop_bars": 1, "channels": 2},
        {"bars": 150, "loop_bars": 16},
        {"level": 0.0},
        {"title": "絆 $x$ 🎵"},
    ],
    ids=["one-bar", "one-beat", "long", "silent", "title"],
)
def test_odd_renders_have_pictures_too(tmp_path: Path, how: dict[str, object]) -> None:
    made = rendered(tmp_path, **how)
    plot_render(made, tmp_path / "render.png", title="絆 \ud83c " + "title " * 50)
    assert pixels(tmp_path / "render.png").shape[1] == 1600


def test_without_mix_and_clip_the_stems_are_summed(tmp_path: Path) -> None:
    made = replace(rendered(tmp_path), mix=None, clip=None)
    plot_render(made, tmp_path / "render.svg", title="x")
    found = texts(tmp_path / "render.svg")
    assert "of all tracks" in found
    assert not {"clip", "mix", "of the mix"} & set(found)


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    made = rendered(tmp_path)
    with pytest.raises(UsageError, match=r"\.wav"):
        plot_render(made, tmp_path / "picture.wav", title="x")
    with pytest.raises(UnwritableOutput):
        plot_render(made, made.stems[0].path / "picture.png", title="x")
    made.stems[0].path.unlink()
    with pytest.raises(UnusableInput):
        plot_render(made, tmp_path / "picture.png", title="x")
    assert not (tmp_path / "picture.png").exists()

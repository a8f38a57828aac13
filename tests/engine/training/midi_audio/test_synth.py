from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import MissingDependency
from engine.training.midi_audio.excerpt import Stretch
from engine.training.midi_audio.score import read_score
from engine.training.midi_audio.synth import (
    SAMPLE_RATE_HZ,
    Instrument,
    find_fluidsynth,
    find_soundfonts,
    synthesise,
)
from tests.engine.training.midi_audio.midi import needs_fluidsynth, write_song


@needs_fluidsynth
def test_drums_sound_on_the_beat(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid")
    stretch = Stretch(read_score(tmp_path / "a.mid", melody=(1, 0)), 1, 8, 1.0)
    drums = [Instrument(part, 0) for part in stretch.parts("drums")]
    sound = synthesise(drums, find_soundfonts()[0], duration_s=stretch.duration_s)
    assert sound.shape == (2, round(stretch.duration_s * SAMPLE_RATE_HZ))
    loud = np.abs(sound).max(axis=0)
    for beat_s in stretch.grid.beats_s[1:-1]:
        at = round(beat_s * SAMPLE_RATE_HZ)
        window = loud[at - 441 : at + 1323]
        rises = int(np.argmax(window > 0.2 * window.max())) - 441
        assert -0.001 <= rises / SAMPLE_RATE_HZ <= 0.012


@needs_fluidsynth
def test_a_note_without_an_end_does_not_sound_for_ever(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid", held=True)
    stretch = Stretch(read_score(tmp_path / "a.mid", melody=(1, 0)), 0, 8, 1.0)
    organ = [Instrument(part, 19) for part in stretch.parts("other")]
    sound = synthesise(organ, find_soundfonts()[-1], duration_s=stretch.duration_s)
    assert sound.shape[1] == round(stretch.duration_s * SAMPLE_RATE_HZ)
    assert np.abs(sound[:, -SAMPLE_RATE_HZ:]).max() > 0.001


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWLINK_SOUNDFONTS", str(tmp_path))
    with pytest.raises(MissingDependency, match="soundfont") as caught:
        find_soundfonts()
    assert "apt-get install" in caught.value.hint
    (tmp_path / "mine.sf2").write_bytes(b"RIFF")
    assert [path.name for path in find_soundfonts()] == ["mine.sf2"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="fluidsynth"):
        find_fluidsynth()

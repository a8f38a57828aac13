"""Sessions for Ardour, played by Ardour itself where it is installed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile as sf

from dawlink.daw.ardour import SUPERCLOCKS, ArdourWriter
from tests.dawlink.daw.exports import exported_by_ardour, needs_ardour
from tests.dawlink.daw.projects import BEATS, RATE, steady_project


def test_ids_are_unique_and_every_source_is_there(tmp_path: Path) -> None:
    (name,) = ArdourWriter().write(steady_project(tmp_path), tmp_path)
    root = ElementTree.parse(tmp_path / name).getroot()
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert max(map(int, ids)) < int(root.get("id-counter", "0"))
    audio = tmp_path / name.parent / "interchange" / name.stem / "audiofiles"
    assert all((audio / source.get("name", "")).is_file() for source in root.iter("Source"))
    assert all(SUPERCLOCKS % rate == 0 for rate in (22050, 32000, 44100, 48000, 96000, 192000))


@needs_ardour
def test_ardour_plays_exactly_what_was_written(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    (name,) = ArdourWriter().write(project, tmp_path)
    takes = []
    for number in range(3):  # a sample that Ardour spoils is another one each time
        exported = exported_by_ardour(tmp_path / name, tmp_path / f"export {number}.wav")
        take, rate = sf.read(exported, always_2d=True)
        assert rate == RATE
        takes.append(take)
    heard = np.median(takes, axis=0)
    mix = sum(
        np.broadcast_to(sf.read(audio.path, always_2d=True)[0], (audio.frames, 2))
        for audio in project.files
    )
    frames = project.files[0].frames
    assert heard.shape[0] >= frames
    error = np.sqrt(np.mean((heard[:frames] - mix) ** 2) / np.mean(mix**2))
    assert 20 * np.log10(max(error, 1e-12)) < -60
    assert not heard[frames:].any()
    for beat in range(BEATS):  # every burst begins on its beat, to the sample
        due = round(beat * 60 / project.tempo_bpm * RATE)
        begun = np.flatnonzero(np.abs(heard[max(due - 2000, 0) : due + 400]).max(axis=1) > 1e-3)
        assert abs(max(due - 2000, 0) + begun[0] - due) <= 2, beat

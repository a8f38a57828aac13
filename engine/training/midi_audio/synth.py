"""Parts of a stretch as sound: fluidsynth with a General MIDI soundfont.

The messages are written as a Standard MIDI File whose tick is 0.1 ms, so times do not depend on a
tempo; fluidsynth acts on them at the borders of its 64-frame blocks (1.5 ms at 44.1 kHz). It runs
without its own reverb and chorus: rooms are added later, drawn like everything else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import MissingDependency, UnusableInput
from engine.training.midi_audio.excerpt import PlayedPart, Timed

__all__ = ["SAMPLE_RATE_HZ", "Instrument", "find_fluidsynth", "find_soundfonts", "synthesise"]

SAMPLE_RATE_HZ: Final = 44_100
#: Ten thousand ticks to the second: 1000 to a beat of 0.1 s.
_TICKS_PER_BEAT: Final = 1000
_BEAT_US: Final = 100_000
_TICKS_PER_SECOND: Final = 10_000
#: Leaves room for many voices before the mix is levelled [fluidsynth's gain].
_GAIN: Final = 0.3
_ALL_SOUND_OFF: Final = 120
_SUFFIXES: Final = (".sf2", ".sf3")
#: Names a folder (or several, separated like PATH) with soundfonts of one's own.
_VARIABLE: Final = "DAWLINK_SOUNDFONTS"
_FOLDERS: Final = (
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
    "~/.local/share/soundfonts",
    "~/Library/Audio/Sounds/Banks",
)
_LONGEST_RUN_S: Final = 60.0


@dataclass(frozen=True)
class Instrument:
    """A part and what plays it.

    Args:
        part: the messages.
        program: General MIDI program [0, 127]; the kit where the channel is 9.
        transpose: semitones, 0 for drums.
    """

    part: PlayedPart
    program: int
    transpose: int = 0


def find_fluidsynth() -> str:
    """The path of the program.

    Raises:
        MissingDependency: it is not installed.
    """
    found = shutil.which("fluidsynth")
    if found is None:
        raise MissingDependency(
            "MIDI cannot be rendered: the program fluidsynth is not installed.",
            hint="Install it, on Debian: sudo apt-get install fluidsynth fluid-soundfont-gm; "
            "on macOS: brew install fluid-synth",
            code="fluidsynth",
        )
    return found


def find_soundfonts() -> tuple[Path, ...]:
    """Every soundfont of the usual folders and of ``DAWLINK_SOUNDFONTS``, each file once.

    Raises:
        MissingDependency: there is none.
    """
    named = [name for name in os.environ.get(_VARIABLE, "").split(os.pathsep) if name]
    folders = [Path(name).expanduser() for name in (named or _FOLDERS)]
    found = {
        path.resolve()
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and path.resolve().is_file()
    }
    if not found:
        raise MissingDependency(
            f"MIDI cannot be rendered: no soundfont lies in {', '.join(map(str, folders))}.",
            hint="Install some, on Debian: sudo apt-get install fluid-soundfont-gm "
            f"timgm6mb-soundfont; or name a folder of .sf2 files in {_VARIABLE}.",
            code="soundfont",
        )
    return tuple(sorted(found, key=lambda path: path.name))


def synthesise(
    instruments: Sequence[Instrument], soundfont: Path, *, duration_s: float
) -> NDArray[np.float32]:
    """(2, frames) at :data:`SAMPLE_RATE_HZ`, ``duration_s`` long; releases are cut there.

    Raises:
        MissingDependency: there is no fluidsynth.
        UnusableInput: it refused the soundfont or the messages.
    """
    frames = round(duration_s * SAMPLE_RATE_HZ)
    with tempfile.TemporaryDirectory(prefix="dawlink-midi-") as folder:
        score, sound = Path(folder) / "part.mid", Path(folder) / "part.raw"
        _write(score, instruments, duration_s)
        _run(soundfont, score, sound)
        samples = np.fromfile(sound, dtype="<f4").astype(np.float32)
    stereo = samples[: samples.size // 2 * 2].reshape(-1, 2).T[:, :frames]
    return np.ascontiguousarray(np.pad(stereo, ((0, 0), (0, frames - stereo.shape[1]))))


def _run(soundfont: Path, score: Path, sound: Path) -> None:
    order = "little" if sys.byteorder == "little" else "big"
    command = [find_fluidsynth(), "-n", "-i", "-q", "-g", str(_GAIN), "-R", "0", "-C", "0"]
    command += ["-o", "synth.dynamic-sample-loading=1", "-o", "synth.cpu-cores=1"]
    command += ["-r", str(SAMPLE_RATE_HZ), "-T", "raw", "-O", "float", "-E", order]
    command += ["-F", str(sound), str(soundfont), str(score)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LONGEST_RUN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnusableInput(
            f"fluidsynth took more than {_LONGEST_RUN_S:.0f} s.", code="fluidsynth"
        ) from error
    if done.returncode != 0 or not sound.is_file() or sound.stat().st_size == 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UnusableInput(
            f"fluidsynth could not play with {soundfont.name}: {said[-1] if said else 'no sound'}.",
            hint="Check that the soundfont is whole.",
            code="fluidsynth",
        )


def _write(path: Path, instruments: Sequence[Instrument], duration_s: float) -> None:
    import mido

    midi = mido.MidiFile(type=1, ticks_per_beat=_TICKS_PER_BEAT)
    conductor = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=_BEAT_US, time=0)])
    end = round(duration_s * _TICKS_PER_SECOND)
    conductor.append(mido.MetaMessage("end_of_track", time=end))
    midi.tracks.append(conductor)
    for instrument in instruments:
        track, last = mido.MidiTrack(), 0
        channel = instrument.part.channel
        track.append(
            mido.Message("program_change", channel=channel, program=instrument.program, time=0)
        )
        for timed in sorted(instrument.part.events, key=lambda timed: timed.time_s):
            tick = min(round(timed.time_s * _TICKS_PER_SECOND), end)
            track.append(_message(timed, instrument, tick - last))
            last = tick
        # A note that is held at the end would sound, and fluidsynth run, for ever.
        track.append(
            mido.Message(
                "control_change", channel=channel, control=_ALL_SOUND_OFF, value=0, time=end - last
            )
        )
        midi.tracks.append(track)
    midi.save(path)


def _message(timed: Timed, instrument: Instrument, wait: int) -> object:
    import mido

    event, channel = timed.event, instrument.part.channel
    if event.kind == "control_change":
        return mido.Message(
            "control_change", channel=channel, control=event.number, value=event.value, time=wait
        )
    if event.kind == "pitchwheel":
        return mido.Message("pitchwheel", channel=channel, pitch=event.value, time=wait)
    pitch = min(max(event.number + instrument.transpose, 0), 127)
    return mido.Message(event.kind, channel=channel, note=pitch, velocity=event.value, time=wait)

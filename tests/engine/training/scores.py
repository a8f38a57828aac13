"""Small made-up songs as notes, for tests of training."""

from __future__ import annotations

import csv
from pathlib import Path

import mido
import numpy as np
from numpy.typing import NDArray

from engine.training.midi_corpus import NOTE, MidiSong

_SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


def notes_of(rows: list[tuple[float, float, int, int, int]]) -> NDArray[np.void]:
    """Notes sorted by start."""
    return np.sort(np.array(rows, NOTE), order="start")


def made_up_song(seed: int, *, bars: int = 24, group: str = "") -> MidiSong:
    """A song with a random chord per bar, whose melody sings the notes of the chord."""
    rng = np.random.default_rng(seed)
    key = int(rng.integers(0, 12))
    sung, played, bass, beaten = [], [], [], []
    for bar in range(bars):
        degree = int(rng.integers(0, 7))
        chord = [int(_SCALE[(degree + i) % 7]) + key for i in (0, 2, 4)]
        at = 4.0 * bar
        bass.append((at, at + 4, 36 + chord[0] % 12, 100, 0))
        played += [(at, at + 3.5, 60 + pitch % 12, 80, 1) for pitch in chord]
        sung += [
            (at + i, at + i + 0.9, 60 + chord[int(rng.integers(3))] % 12, 90, 2) for i in range(4)
        ]
        beaten += [(at + i, at + i + 0.1, 36 if i % 2 == 0 else 38, 100, 3) for i in range(4)]
    notes = {
        "vocals": notes_of(sung),
        "other": notes_of(played),
        "bass": notes_of(bass),
        "drums": notes_of(beaten),
    }
    return MidiSong(f"{seed}.mid", "made", group or f"g{seed}", "train", 4 * bars, notes)


def write_corpus(folder: Path, songs: list[MidiSong], *, val: int) -> None:
    """The songs as MIDI files with an index; the first ``val`` are for validation."""
    folder.mkdir()
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ("file", "set", "group", "split", "melody_part", "time_sig", "full_band", "dup_of")
        )
        for number, song in enumerate(songs):
            _write(folder / song.file, song)
            split = "val" if number < val else "train"
            writer.writerow((song.file, "freedoom", song.group, split, "0:1:0:M", "4/4", "1", ""))


def write_named(folder: Path) -> None:
    """Call the first track of every file a melody."""
    for path in folder.glob("*.mid"):
        midi = mido.MidiFile(path)
        midi.tracks[0].insert(0, mido.MetaMessage("track_name", name="Melody"))
        midi.save(path)


def _write(path: Path, song: MidiSong) -> None:
    midi = mido.MidiFile(ticks_per_beat=480)
    parts = {"vocals": (0, 68), "bass": (1, 33), "other": (2, 0), "drums": (9, 0)}
    for role, (channel, program) in parts.items():
        events = []
        for note in song.notes[role]:
            pitch, velocity = int(note["pitch"]), int(note["velocity"])
            events.append((round(float(note["end"]) * 480), 0, pitch, 0))
            events.append((round(float(note["start"]) * 480), 1, pitch, velocity))
        track = mido.MidiTrack()
        track.append(mido.Message("program_change", channel=channel, program=program))
        last = 0
        for tick, _, pitch, velocity in sorted(events):
            message = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
            track.append(message.copy(time=tick - last))
            last = tick
        midi.tracks.append(track)
    midi.save(path)

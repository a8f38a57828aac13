"""Small MIDI files, and what is needed to make sound of them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from engine.errors import MissingDependency
from engine.training.midi_audio.recipe import Realism
from engine.training.midi_audio.songs import MidiSource, RenderedSong, render_song
from engine.training.midi_audio.synth import find_fluidsynth, find_soundfonts

__all__ = [
    "BARS",
    "UNREADABLE",
    "needs_fluidsynth",
    "quick_rendering",
    "write_corpus",
    "write_index",
    "write_song",
]

BARS = 12


def _file(ticks_per_beat: int, first: bytes) -> bytes:
    """One track: some event, then 64 quarter notes."""
    events = first + 64 * b"\x00\x90\x3c\x50\x60\x90\x3c\x00" + b"\x00\xff\x2f\x00"
    head = (
        b"MThd" + (6).to_bytes(4, "big") + b"\x00\x01\x00\x01" + ticks_per_beat.to_bytes(2, "big")
    )
    return head + b"MTrk" + len(events).to_bytes(4, "big") + events


#: Files that are no use, by what is wrong with them.
UNREADABLE = {
    "thirteen sharps": _file(96, b"\x00\xff\x59\x02\x0d\x00"),
    "no ticks in a beat": _file(0, b""),
    "film frames": _file(0xE728, b""),
    "an endless wait": _file(96, 12 * b"\xff" + b"\x7f\xb0\x07\x64"),
    "an unknown status": _file(96, b"\x00\xf4"),
    "cut off": _file(96, b"")[:-9],
    "nothing": b"",
}


def _missing() -> str:
    try:
        find_fluidsynth()
        find_soundfonts()
    except MissingDependency as error:
        return error.message
    return ""


needs_fluidsynth = pytest.mark.skipif(bool(_missing()), reason=_missing() or "all there")


#: What was rendered in this process, by all that decides how it sounds.
_RENDERED: dict[tuple[object, ...], RenderedSong] = {}


def quick_rendering(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One small soundfont, since a large one takes seconds to load; and no song rendered twice."""
    smallest = min(find_soundfonts(), key=lambda font: font.stat().st_size)
    folder.mkdir()
    (folder / smallest.name).symlink_to(smallest)
    monkeypatch.setenv("DAWLINK_SOUNDFONTS", str(folder))

    def once(
        source: MidiSource,
        soundfonts: Sequence[Path],
        *,
        seed: int,
        seconds: float | None,
        realism: Realism,
    ) -> RenderedSong:
        named = replace(source, path=Path(hashlib.sha256(source.path.read_bytes()).hexdigest()))
        key = (named, *(font.name for font in soundfonts), seed, seconds, realism)
        if key not in _RENDERED:
            _RENDERED[key] = render_song(
                source, soundfonts, seed=seed, seconds=seconds, realism=realism
            )
        return _RENDERED[key]

    monkeypatch.setattr("engine.training.midi_audio.corpus.render_song", once)


def write_song(
    path: Path,
    *,
    tempo_bpm: float = 120.0,
    transpose: int = 0,
    melody: str = "MELODY",
    sung_bars: range = range(BARS),
    held: bool = False,
) -> None:
    """C major: a melody, chords and a bass in quarters, a kick on every beat; twelve bars."""
    midi = mido.MidiFile(ticks_per_beat=96)
    conductor = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(6e7 / tempo_bpm))])
    conductor.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
    midi.tracks.append(conductor)
    parts = (
        (melody, 0, 68, (72, 76, 79, 76)),
        ("BASS", 1, 33, (36, 36, 43, 43)),
        ("PIANO", 2, 0, (60, 64, 67, 64)),
        ("DRUMS", 9, 0, (36, 36, 36, 36)),
    )
    for name, channel, program, pitches in parts:
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        track.append(mido.Message("program_change", channel=channel, program=program))
        wait = 0
        for beat in range(4 * BARS):
            if channel == 0 and beat // 4 not in sung_bars:
                wait += 96
                continue
            note = pitches[beat % 4] + (transpose if channel != 9 else 0)
            track.append(
                mido.Message("note_on", channel=channel, note=note, velocity=90, time=wait)
            )
            if not held or channel != 2:
                off = mido.Message("note_off", channel=channel, note=note, time=90)
                track.append(off)
            wait = 6 if not held or channel != 2 else 96
        midi.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.save(path)


def write_corpus(folder: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Songs of (file, group, split), each in another key and tempo, with an index."""
    folder.mkdir(parents=True)
    write_index(folder, rows)
    for number, (file, _group, _split) in enumerate(rows):
        write_song(folder / file, tempo_bpm=100 + 10 * number, transpose=number)


def write_index(folder: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """What a corpus says of its songs, each a semitone above the one before."""
    columns = ("file", "set", "group", "split", "melody_part", "time_sig", "full_band", "key_sig")
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for number, (file, group, split) in enumerate(rows):
            key = ("C", "C#", "D", "Eb", "E", "F")[number]
            writer.writerow((file, "made", group, split, "1:1:68:MELODY", "4/4", "1", key))

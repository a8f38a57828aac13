"""Plays the songs: from the record to four stems, and from stems to folders of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dawlink.demo.instruments import SAMPLE_RATE, drum, tone
from dawlink.demo.melody import write_melody
from dawlink.demo.mixing import balanced, ducked, echoed, glued, in_room
from dawlink.demo.score import Note, Stroke, write_score
from dawlink.demo.songs import DEMO_SONGS, DEMO_VOCAL, DemoSong
from dawlink.demo.styles import STYLES, BassSound, ChordSound, Style
from dawlink.demo.voice import sing
from engine.audio.waveform import Waveform
from engine.errors import UnwritableOutput
from engine.files import atomic_path
from engine.theory import Role

__all__ = ["frames_of", "synthesise", "write_demo_songs", "write_demo_vocal"]

Samples = NDArray[np.float32]

_PAN: Final = {"hat": 0.25, "open hat": 0.3, "shaker": -0.35, "tom": -0.15, "crash": -0.2}
_ROLES: Final[tuple[Role, ...]] = ("vocals", "drums", "bass", "other")
_WIDE: Final = ("pad", "strings", "stab", "keys", "saw")


def frames_of(song: DemoSong) -> int:
    """Exact number of frames: whole bars."""
    return round(song.duration_s * SAMPLE_RATE)


def synthesise(song: DemoSong) -> Mapping[Role, Waveform]:
    """Play ``song``: the same record always gives the same samples.

    Returns:
        vocals, drums, bass and other: stereo at 44.1 kHz, equally long, beat 0 at frame 0; their
        sum is the mix, −18 LUFS with peaks below −1 dBFS.
    """
    style = STYLES[song.style]
    score = write_score(song)
    kicks_s = _kick_times(score.drums, song.tempo_bpm)
    stems: dict[Role, Samples] = {
        "vocals": _vocals(song, style),
        "drums": _drums(score.drums, song, style),
        "bass": glued(_part(score.bass, style.bass_sound, song), drive=1.0),
        "other": ducked(
            _other(score.comp, score.pad, score.arpeggio, song, style), kicks_s, depth=style.pump
        ),
    }
    levels = dict(zip(_ROLES, style.balance_db, strict=True))
    finished = balanced(stems, levels)
    return {role: Waveform(sound, SAMPLE_RATE) for role, sound in finished.items()}


def write_demo_songs(folder: Path, songs: Iterable[DemoSong] = DEMO_SONGS) -> list[Path]:
    """Write every song as a folder of ``vocals.wav``, ``drums.wav``, ``bass.wav``, ``other.wav``.

    Returns:
        The folders, one a song, named by title.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    folders = []
    for song in songs:
        place = folder / song.title
        for role, waveform in synthesise(song).items():
            _write(place / f"{role}.wav", waveform)
        folders.append(place)
    return folders


def write_demo_vocal(folder: Path) -> Path:
    """Write the voice of :data:`DEMO_VOCAL` alone, the clip of the demo's query.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    song = DEMO_VOCAL
    path = folder / f"{song.title} vocals {song.tempo_bpm:g} BPM {song.key.short}.wav"
    _write(path, synthesise(song)["vocals"])
    return path


def _write(path: Path, waveform: Waveform) -> None:
    import soundfile

    with atomic_path(path) as temporary:
        try:
            soundfile.write(temporary, waveform.samples.T, waveform.sample_rate, subtype="PCM_16")
        except soundfile.LibsndfileError as error:
            raise UnwritableOutput(
                f"{path} cannot be written: {error}.", hint="Is there room on the disk?"
            ) from error


def _vocals(song: DemoSong, style: Style) -> Samples:
    voice = sing(
        write_melody(song),
        tempo_bpm=song.tempo_bpm,
        frames=frames_of(song),
        centre=style.voice_centre,
        seed=song.seed,
    )
    middle = np.stack([voice, voice])
    wet = echoed(middle, delay_s=45.0 / song.tempo_bpm, amount=0.12, repeats=2)
    return in_room(wet, amount=0.11, decay_s=style.reverb_s)


def _drums(strokes: tuple[Stroke, ...], song: DemoSong, style: Style) -> Samples:
    track = np.zeros((2, frames_of(song)), np.float32)
    for stroke in strokes:
        sound = drum(stroke.instrument, kick_hz=style.kick_hz, seed=song.seed)
        first = round(stroke.start_beat * 60.0 / song.tempo_bpm * SAMPLE_RATE)
        _place(track, sound, first, level=stroke.velocity, pan=_PAN.get(stroke.instrument, 0.0))
    return glued(in_room(track, amount=0.05, decay_s=0.5), drive=1.4)


def _other(
    comp: tuple[Note, ...],
    pad: tuple[Note, ...],
    arpeggio: tuple[Note, ...],
    song: DemoSong,
    style: Style,
) -> Samples:
    chords = _part(comp, style.comp_sound, song)
    if style.comp_sound == "crunch":
        chords = glued(chords, drive=2.5)
    layers = _levelled(chords, 1.0)
    if style.pad:
        layers = layers + _levelled(_part(pad, style.pad, song), 0.5)
    if arpeggio:
        notes = _part(arpeggio, "pluck", song)
        layers = layers + _levelled(echoed(notes, delay_s=45.0 / song.tempo_bpm, amount=0.35), 0.4)
    return glued(in_room(layers, amount=0.13, decay_s=style.reverb_s), drive=0.8)


def _part(notes: tuple[Note, ...], sound: BassSound | ChordSound, song: DemoSong) -> Samples:
    """All notes of one instrument; chord notes are spread a little from left to right."""
    track = np.zeros((2, frames_of(song)), np.float32)
    beat_frames = 60.0 / song.tempo_bpm * SAMPLE_RATE
    for note in notes:
        first = round(note.start_beat * beat_frames)
        frames = max(1, round((note.start_beat + note.beats) * beat_frames) - first)
        frames = -(-frames // 64) * 64  # equal notes of a loop are made once
        if sound in _WIDE and note.pitch > 48:
            for channel, side in enumerate((-1, 1)):
                _add(track[channel], tone(sound, note.pitch, frames, side), first, note.velocity)
        else:
            pan = 0.0 if note.pitch <= 48 else float(np.clip((note.pitch - 64) / 40.0, -0.4, 0.4))
            _place(track, tone(sound, note.pitch, frames), first, level=note.velocity, pan=pan)
    return track


def _place(track: Samples, sound: Samples, first: int, *, level: float, pan: float) -> None:
    """Add a mono sound at a place between left (−1) and right (1), at constant power."""
    angle = (pan + 1.0) * np.pi / 4.0
    _add(track[0], sound, first, level * float(np.cos(angle)) * 2**0.5)
    _add(track[1], sound, first, level * float(np.sin(angle)) * 2**0.5)


def _add(channel: Samples, sound: Samples, first: int, level: float) -> None:
    end = min(channel.size, first + sound.size)
    channel[first:end] += sound[: end - first] * np.float32(level)


def _levelled(sound: Samples, rms: float) -> Samples:
    present = float(np.sqrt(np.mean(sound**2)))
    return sound * np.float32(rms / present) if present > 0 else sound


def _kick_times(strokes: tuple[Stroke, ...], tempo_bpm: float) -> NDArray[np.float64]:
    beats = sorted(stroke.start_beat for stroke in strokes if stroke.instrument == "kick")
    return np.array(beats, dtype=np.float64) * (60.0 / tempo_bpm)

"""The warp of every clip that a project file holds, read by parsers that dawlink does not use.

A clip is (its beat in the project, beats and seconds of its warp, semitones, linear gain).
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rpp
from lxml import etree
from numpy.typing import NDArray

__all__ = ["ReadClip", "clips_of"]


@dataclass(frozen=True)
class ReadClip:
    """A clip as a DAW would take it; beats count from where it begins."""

    start_beat: float
    beats: float
    warp_beats: NDArray[np.float64]
    warp_s: NDArray[np.float64]
    semitones: float
    gain: float
    file: Path

    def source_s(self, beat: float) -> float:
        """Second of the file on a beat of the project."""
        return float(np.interp(beat - self.start_beat, self.warp_beats, self.warp_s))


def clips_of(path: Path, tempo_bpm: float) -> Iterator[list[ReadClip]]:
    """The clips of each track of a project file."""
    if path.suffix in (".als", ".alc"):
        yield from _live(path)
    elif path.suffix == ".dawproject":
        yield from _dawproject(path)
    else:
        yield from _reaper(path, tempo_bpm)


def _live(path: Path) -> Iterator[list[ReadClip]]:
    root = etree.fromstring(gzip.decompress(path.read_bytes()))
    kind = "ClipSlotList" if path.suffix == ".alc" else "Events"
    for track in root.iterfind("LiveSet/Tracks/AudioTrack"):
        clips = []
        for clip in track.iterfind(f"DeviceChain/MainSequencer//{kind}//AudioClip"):
            start, end = (
                float(clip.find(f"Current{edge}").get("Value")) for edge in ("Start", "End")
            )
            markers = [
                (float(m.get("BeatTime")), float(m.get("SecTime"))) for m in clip.iter("WarpMarker")
            ]
            beats, seconds = np.array(markers).T
            coarse, fine, volume = (
                _value(clip, tag) for tag in ("PitchCoarse", "PitchFine", "SampleVolume")
            )
            relative = clip.find("SampleRef/FileRef/RelativePath").get("Value")
            clips.append(
                ReadClip(
                    start,
                    end - start,
                    beats,
                    seconds,
                    coarse + fine / 100,
                    volume,
                    path.parent / relative,
                )
            )
        yield clips


def _value(clip: etree._Element, tag: str) -> float:
    return float(clip.find(tag).get("Value"))


def _dawproject(path: Path) -> Iterator[list[ReadClip]]:
    archive = zipfile.ZipFile(path)
    root = etree.fromstring(archive.read("project.xml"))
    for lane in root.iterfind("Arrangement/Lanes/Lanes"):
        clips = []
        for clip in lane.iterfind("Clips/Clip"):
            points = [
                (float(w.get("time")), float(w.get("contentTime"))) for w in clip.iter("Warp")
            ]
            beats, seconds = np.array(points).T
            values = {
                p.find("Target").get("expression"): float(p.find("RealPoint").get("value"))
                for p in clip.iter("Points")
            }
            name = next(clip.iter("File")).get("path")
            clips.append(
                ReadClip(
                    float(clip.get("time")),
                    float(clip.get("duration")),
                    beats,
                    seconds,
                    values.get("transpose", 0.0),
                    values.get("gain", 1.0),
                    Path(archive.extract(name, path.parent / "unzipped")),
                )
            )
        yield clips


def _reaper(path: Path, tempo_bpm: float) -> Iterator[list[ReadClip]]:
    root = rpp.loads(path.read_text(encoding="utf-8"))
    for track in root.findall("TRACK"):
        yield [_item(item, path.parent, tempo_bpm) for item in track.findall("ITEM")]


def _item(item: rpp.Element, folder: Path, tempo_bpm: float) -> ReadClip:
    rows = {row[0]: row[1:] for row in item if isinstance(row, list)}
    position, length = (float(rows[name][0]) * tempo_bpm / 60 for name in ("POSITION", "LENGTH"))
    source = item.find("SOURCE")
    first_s = 0.0
    if "SM" in rows:
        numbers = np.array([float(x) for x in rows["SM"] if x != "+"])
        first_s = float({row[0]: row[1:] for row in source if isinstance(row, list)}["STARTPOS"][0])
        source = source.find("SOURCE")
        beats, seconds = numbers[::2] * tempo_bpm / 60, numbers[1::2] + first_s
    else:
        start_s = float(rows["SOFFS"][0])
        beats = np.array([0.0, length])
        seconds = start_s + beats * 60 / tempo_bpm
    file = next(row[1] for row in source if isinstance(row, list) and row[0] == "FILE")
    return ReadClip(
        position,
        length,
        beats,
        seconds,
        float(rows["PLAYRATE"][2]),
        float(rows["VOLPAN"][0]),
        folder / file,
    )

"""The selected clip, as the engine is told of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fake_live.song import LiveSet
from tests.max4live.remote_script.loading import part

clip_part = part("clip")
Tone = Callable[..., str]


@pytest.mark.parametrize(
    ("tempo", "semitones"), [(100.0, 0), (120.0, 3), (75.0, -5), (999.0, 40), (20.0, -28)]
)
def test_in_re_pitch_the_clips_pitch_follows_the_tempo(
    tone: Tone, tempo: float, semitones: int
) -> None:
    live = LiveSet(tempo=100.0)
    clip = live.drop_in_slot(live.song.create_audio_track(-1), 0, tone(8.0))
    live.warp(clip, (0.5, 0.0), bpm=100.0)
    clip.pitch_coarse = 7
    live.song.tempo = tempo
    assert clip_part.SelectedClip(clip, live.song).pitch == 7
    clip.warp_mode = clip_part.RE_PITCH
    assert clip_part.SelectedClip(clip, live.song).pitch == semitones


def test_a_clip_in_re_pitch_is_another_one_at_another_tempo(tone: Tone) -> None:
    live = LiveSet(tempo=100.0)
    clip = live.drop_in_slot(live.song.create_audio_track(-1), 0, tone(8.0))
    live.warp(clip, (0.0, 0.0), bpm=100.0)
    clip.warp_mode = clip_part.RE_PITCH
    read = clip_part.SelectedClip(clip, live.song)
    live.song.tempo = 101.0  # a sixth of a semitone
    read.read_again()
    live.song.tempo = 110.0
    with pytest.raises(clip_part.Refused, match="The clip was changed"):
        read.read_again()

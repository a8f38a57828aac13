"""The set keeps the rules of Live's object model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fake_live.clips import Clip, WarpMarker
from tests.fake_live.lom import ArgumentError
from tests.fake_live.song import LiveSet
from tests.fake_live.tracks import Track

Tone = Callable[..., str]


def audio_track(live: LiveSet) -> Track:
    return live.song.create_audio_track(-1)


def arranged(live: LiveSet, track: Track) -> list[tuple[float, float]]:
    return [(clip.start_time, clip.end_time) for clip in track.arrangement_clips]


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ("11.0.0", False),
        ("11.3.24", False),
        ("11.3.25", True),
        ("11.3.43", True),
        ("12.0.0", False),
        ("12.0.2", False),
        ("12.0.5", True),
        ("12.2.0", True),
    ],
)
def test_create_audio_clip_came_gone_and_came_again(version: str, there: bool) -> None:
    live = LiveSet(version)
    track = audio_track(live)
    assert hasattr(track, "create_audio_clip") is there
    assert hasattr(track.clip_slots[0], "create_audio_clip") is there
    assert hasattr(live.song, "file_path") is there
    assert hasattr(live.song, "scale_mode") is (version in ("12.0.5", "12.2.0"))


def test_markers_are_beats_when_warped_and_seconds_when_not(tone: Tone) -> None:
    live = LiveSet(tempo=100.0)
    clip = live.drop_in_slot(audio_track(live), 0, tone(9.6))  # four bars at 100
    live.warp(clip, (0.0, 0.0), (9.6, 16.0), bpm=100.0)
    clip.start_marker, clip.end_marker = 4.0, 12.0
    assert (clip.start_marker, clip.end_marker) == (4.0, 12.0)
    clip.warping = False
    assert clip.start_marker == pytest.approx(2.4)
    assert clip.end_marker == 12.0  # stale, and past the file
    assert clip.end_marker > clip.sample_length / clip.sample_rate
    assert clip.beats_in_set == pytest.approx((9.6 - 2.4) * 100 / 60)


def test_the_region_is_the_loop_only_while_looping(tone: Tone) -> None:
    live = LiveSet()
    clip = live.drop_in_slot(audio_track(live), 0, tone(8.0))
    clip.looping = True
    clip.loop_start, clip.loop_end = 4.0, 8.0
    assert (clip.start_marker, clip.loop_start, clip.loop_end) == (0.0, 4.0, 8.0)
    clip.looping = False
    assert (clip.loop_start, clip.loop_end) == (clip.start_marker, clip.end_marker) == (0.0, 16.0)


def test_looping_needs_warping(tone: Tone) -> None:
    live = LiveSet()
    clip = live.drop_in_slot(audio_track(live), 0, tone(8.0))
    clip.warping = False
    assert not clip.looping
    clip.looping = True
    assert clip.warping


@pytest.mark.parametrize("bars", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("tempo", [84.0, 120.0, 133.7])
def test_whole_loops_are_guessed_at_the_session_tempo(tone: Tone, bars: int, tempo: float) -> None:
    live = LiveSet(tempo=tempo)
    clip = live.drop_in_slot(audio_track(live), 0, tone(bars * 240 / tempo))
    first, shadow = clip.warp_markers
    implied = 60 * (shadow.beat_time - first.beat_time) / (shadow.sample_time - first.sample_time)
    assert implied == pytest.approx(tempo, rel=1e-4)  # the file is whole frames long
    assert shadow.beat_time == 0.03125
    assert clip.length == pytest.approx(4 * bars)


@pytest.mark.parametrize("bars", [3, 6, 32])
def test_other_lengths_are_guessed_wrong(tone: Tone, bars: int) -> None:
    live = LiveSet(tempo=120.0)
    clip = live.drop_in_slot(audio_track(live), 0, tone(bars * 2.0))
    assert abs(clip.beat_in_set(bars * 2.0) - 4 * bars) > 0.5


def test_without_auto_warp_a_long_file_takes_the_session_tempo(tone: Tone) -> None:
    live = LiveSet(tempo=120.0)
    live.song.auto_warp_long_samples = False
    clip = live.drop_in_slot(audio_track(live), 0, tone(80.0))
    assert clip.beat_in_set(60.0) == pytest.approx(120.0)
    assert not clip.looping


def test_the_arrangement_overwrites_what_is_covered(tone: Tone) -> None:
    live = LiveSet(tempo=120.0)
    track = audio_track(live)
    eight_beats, sixteen_beats = tone(4.0, "a.wav"), tone(8.0, "b.wav")
    below = track.create_audio_clip(sixteen_beats, 4.0)
    track.create_audio_clip(eight_beats, 8.0)
    assert arranged(live, track) == [(4.0, 8.0), (8.0, 16.0), (16.0, 20.0)]
    tail = track.arrangement_clips[2]
    assert tail.beat_in_set(6.0) == below.beat_in_set(6.0)  # the audio stays where it was
    track.create_audio_clip(sixteen_beats, 0.0)
    assert arranged(live, track) == [(0.0, 16.0), (16.0, 20.0)]
    assert not below.alive


def test_an_unwarped_clip_lies_by_its_seconds(tone: Tone) -> None:
    live = LiveSet(tempo=90.0)
    clip = audio_track(live).create_audio_clip(tone(7.0), 12.0)
    clip.warping = False
    assert clip.beat_in_set(2.0) == pytest.approx(12.0 + 3.0)
    live.song.tempo = 60.0
    assert clip.beat_in_set(2.0) == pytest.approx(12.0 + 2.0)


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(RuntimeError) as refusal:
        make()
    return str(refusal.value)


def test_create_audio_clip_says_what_is_wrong(tone: Tone) -> None:
    live = LiveSet(max_tracks=3)
    track, path = audio_track(live), tone(4.0)
    midi = live.song.create_midi_track(-1)
    slot = track.clip_slots[0]
    slot.create_audio_clip(path)
    assert "not empty" in refused(lambda: slot.create_audio_clip(path))
    assert "audio tracks" in refused(lambda: midi.clip_slots[0].create_audio_clip(path))
    assert "audio tracks" in refused(lambda: midi.create_audio_clip(path, 0.0))
    assert "path" in refused(lambda: track.create_audio_clip("no/such.wav", 0.0))
    assert "position" in refused(lambda: track.create_audio_clip(path, 1576801.0))
    frozen = audio_track(live)
    live.freeze(frozen)
    assert "frozen" in refused(lambda: frozen.clip_slots[0].create_audio_clip(path))
    live.record(slot.clip)
    assert "recorded" in refused(lambda: track.clip_slots[1].create_audio_clip(path))
    assert "maximum" in refused(lambda: live.song.create_audio_track(-1))


def test_what_is_being_recorded_has_no_file(tone: Tone) -> None:
    live = LiveSet()
    clip = live.drop_in_slot(audio_track(live), 0, tone(4.0))
    live.record(clip)
    assert clip.file_path == ""


def test_a_midi_clip_has_nothing_of_audio() -> None:
    live = LiveSet()
    clip = live.midi_clip(live.song.create_midi_track(-1), 0)
    for member in ("file_path", "warping", "warp_markers", "gain", "pitch_coarse", "sample_length"):
        with pytest.raises(RuntimeError, match="audio clips"):
            getattr(clip, member)


def test_changes_are_refused_inside_a_notification(tone: Tone) -> None:
    live = LiveSet()
    track = audio_track(live)
    clip = live.drop_in_slot(track, 0, tone(4.0))
    refusals: list[str] = []

    def changed() -> None:
        for change in (
            lambda: setattr(live.song, "tempo", 90.0),
            lambda: track.create_audio_clip(clip.file_path, 0.0),
            lambda: track.clip_slots[1].create_audio_clip(clip.file_path),
            lambda: live.song.create_audio_track(-1),
            lambda: clip.add_warp_marker(WarpMarker(1.0, 2.0)),
        ):
            refusals.append(refused(change))

    live.song.view.add_detail_clip_listener(changed)
    live.select(clip)
    assert len(refusals) == 5
    assert all("cannot be triggered by notifications" in refusal for refusal in refusals)
    assert live.song.tempo == 120.0


def test_listeners_are_kept_once_and_can_be_taken_back() -> None:
    song = LiveSet().song
    heard: list[float] = []

    def changed() -> None:
        heard.append(song.tempo)

    song.add_tempo_listener(changed)
    assert song.tempo_has_listener(changed)
    assert "already" in refused(lambda: song.add_tempo_listener(changed))
    song.tempo = 99.0
    song.remove_tempo_listener(changed)
    song.tempo = 98.0
    assert heard == [99.0]
    assert "not connected" in refused(lambda: song.remove_tempo_listener(changed))
    with pytest.raises(AttributeError):
        song.view.add_highlighted_clip_slot_listener(changed)


def test_a_deleted_clip_equals_none_and_refuses_every_use(tone: Tone) -> None:
    live = LiveSet()
    clip: Clip = live.drop_in_slot(audio_track(live), 0, tone(4.0))
    live.select(clip)
    live.delete(clip)
    assert clip == None  # noqa: E711 - this is how scripts have to ask
    assert live.song.view.detail_clip is None
    with pytest.raises(ArgumentError):
        _ = clip.name


def test_python_can_move_warp_markers(tone: Tone) -> None:
    live = LiveSet(tempo=120.0)
    clip = live.drop_in_slot(audio_track(live), 0, tone(8.0))
    clip.add_warp_marker(WarpMarker(sample_time=4.0, beat_time=6.0))
    assert clip.beat_in_set(4.0) == pytest.approx(6.0)
    clip.move_warp_marker(6.0, 2.0)
    assert clip.beat_in_set(2.0) == pytest.approx(4.0)
    clip.remove_warp_marker(8.0)
    assert [marker.beat_time for marker in clip.warp_markers] == [0.0, 0.03125]
    assert "rise" in refused(lambda: clip.add_warp_marker(WarpMarker(-1.0, 2.0)))

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest
import soundfile

from engine.audio.encode import BitDepth
from engine.audio.loudness import true_peak_db
from engine.audio.stretch import Stretcher, StretchJob, default_stretcher
from engine.audio.waveform import Waveform
from engine.delivery.records import RenderedSuggestion, RenderOptions
from engine.delivery.writing import render_suggestion, session_of
from engine.errors import UnwritableOutput, UsageError
from engine.mashup.levels import PEAK_CEILING_DB
from engine.staging import staging_folder, sweep_staging
from engine.suggestions import Suggestion, SuggestReply
from tests.engine.replies import reply_with_two_stems


@pytest.fixture
def reply(tmp_path: Path) -> SuggestReply:
    return reply_with_two_stems(tmp_path)


class Cut:
    """A stretcher that takes the source as it is, from its first anchor on."""

    def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
        first = job.anchors[0][0] - job.anchors[0][1]
        return Waveform(waveform.samples[:, first : first + job.frames_out], waveform.sample_rate)


def deliver(
    reply: SuggestReply,
    out: Path,
    *,
    suggestion: Suggestion | None = None,
    stretcher: Stretcher | None = None,
    **options: object,
) -> RenderedSuggestion:
    return render_suggestion(
        reply,
        suggestion or reply.suggestions[0],
        session=session_of(reply, 22050),
        options=RenderOptions(out=out, **options),  # type: ignore[arg-type]
        stretcher=stretcher or default_stretcher(),
        describe=lambda rendered, _: {"frames": rendered.session.frames},
    )


def test_all_files_share_one_length_and_lie_together(reply: SuggestReply, tmp_path: Path) -> None:
    rendered = deliver(reply, tmp_path / "out")
    audio = [path for path in rendered.files if path.suffix == ".wav"]
    assert {soundfile.info(path).frames for path in audio} == {rendered.session.frames}
    assert sorted((tmp_path / "out").iterdir()) == sorted(rendered.files)
    assert rendered.mix is not None
    assert rendered.mix.true_peak_db <= -0.99


@pytest.mark.parametrize("bit_depth", ["24", "32f"])
def test_what_a_stretch_makes_too_loud_is_turned_down_by_the_stated_gain(
    reply: SuggestReply, tmp_path: Path, bit_depth: BitDepth
) -> None:
    """The stems of one song by the same amount, and all of them by what the clip is lowered."""
    loud, quiet = reply.suggestions[0].stems
    stems = tuple(
        replace(loud, placement=replace(loud.placement, stem_id=f"s{n}", gain_db=gain_db))
        for n, gain_db in enumerate((24.0, 18.0))
    )
    stems = (*stems, replace(quiet, placement=replace(quiet.placement, gain_db=-20.0)))
    titled = tuple(replace(stem, title=f"Stem {n}") for n, stem in enumerate(stems))
    asked = replace(reply.suggestions[0], stems=titled)
    clip = replace(reply.clip, request=replace(reply.clip.request, gain_db=12.0))
    told: list[Suggestion] = []

    def describe(_: RenderedSuggestion, suggestion: Suggestion) -> dict[str, object]:
        told.append(suggestion)
        return {}

    rendered = render_suggestion(
        replace(reply, clip=clip),
        asked,
        session=session_of(reply, 22050),
        options=RenderOptions(out=tmp_path / "out", bit_depth=bit_depth, mix=False),
        stretcher=default_stretcher(),
        describe=describe,
    )
    gains = [stem.placement.gain_db for stem in told[0].stems]
    assert gains == [file.placement.gain_db for file in rendered.stems if file.placement]
    lower = [before.placement.gain_db - now for before, now in zip(asked.stems, gains, strict=True)]
    assert lower[0] == pytest.approx(lower[1])
    assert rendered.clip is not None
    assert lower[0] > rendered.clip.lower_db > 1
    assert lower[2] == pytest.approx(rendered.clip.lower_db)  # the balance with the clip stays
    for path in (rendered.stems[0].path, rendered.clip.path):
        samples, rate = soundfile.read(path, always_2d=True, dtype="float32")
        level = true_peak_db(Waveform(samples.T, rate))
        assert level == pytest.approx(PEAK_CEILING_DB, abs=0.02)


def test_a_clip_that_is_not_written_turns_nothing_down(reply: SuggestReply, tmp_path: Path) -> None:
    clip = replace(reply.clip, request=replace(reply.clip.request, gain_db=12.0))
    rendered = deliver(replace(reply, clip=clip), tmp_path / "out", clip=False)
    gains = [file.placement.gain_db for file in rendered.stems if file.placement]
    assert gains == [stem.placement.gain_db for stem in reply.suggestions[0].stems]


def test_nothing_is_replaced_without_being_asked(reply: SuggestReply, tmp_path: Path) -> None:
    first = deliver(reply, tmp_path)
    before = first.files[0].read_bytes()
    with pytest.raises(UnwritableOutput, match="already there"):
        deliver(reply, tmp_path)
    assert first.files[0].read_bytes() == before
    deliver(reply, tmp_path, overwrite=True)


def test_a_description_says_paths_as_they_are(reply: SuggestReply, tmp_path: Path) -> None:
    told = {"warp": [[0.5, 1.0], [1.0, 2.0]], "path": "take [ 1, 2 ].wav"}
    rendered = render_suggestion(
        reply,
        reply.suggestions[0],
        session=session_of(reply, 22050),
        options=RenderOptions(out=tmp_path),
        stretcher=default_stretcher(),
        describe=lambda _rendered, _suggestion: told,
    )
    text = rendered.description.read_text()
    assert json.loads(text) == told
    assert "[0.5, 1.0]" in text


def test_a_failed_replacement_gives_the_old_files_back(reply: SuggestReply, tmp_path: Path) -> None:
    rendered = deliver(reply, tmp_path)
    kept = {path: path.read_bytes() for path in rendered.files[:-1]}
    rendered.description.unlink()
    rendered.description.mkdir()
    (rendered.description / "mine").write_text("keep")
    louder = replace(
        reply.suggestions[0],
        stems=tuple(
            replace(stem, placement=replace(stem.placement, gain_db=-20.0))
            for stem in reply.suggestions[0].stems
        ),
    )
    with pytest.raises(UnwritableOutput, match="is a folder"):
        deliver(reply, tmp_path, suggestion=louder, overwrite=True)
    assert {path: path.read_bytes() for path in kept} == kept
    assert (rendered.description / "mine").read_text() == "keep"
    assert not list(tmp_path.glob(".dawlink-part*"))


def test_what_a_killed_render_left_is_swept(reply: SuggestReply, tmp_path: Path) -> None:
    with staging_folder(tmp_path) as own:
        machine = own.name.split("-")[3]
    dead = tmp_path / f".dawlink-part-999999999-{machine}-abc"
    elsewhere, long_ago = (tmp_path / f".dawlink-part-999999999-{n}-abc" for n in ("nas", "mac"))
    for left in (dead, elsewhere, long_ago):
        left.mkdir()
        (left / "half.wav").write_bytes(b"half")
    os.utime(long_ago, (1e9, 1e9))
    deliver(reply, tmp_path, mix=False, clip=False)
    assert not dead.exists()
    assert not long_ago.exists()
    assert elsewhere.exists()  # whether a process of another machine lives is not known here
    sweep_staging(tmp_path, idle=True)
    assert not elsewhere.exists()


def test_a_disk_that_is_too_small_is_noticed_before_the_work(
    reply: SuggestReply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = {"total": 10**9, "used": 10**9 - 1000, "free": 1000}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(**room))
    with pytest.raises(UnwritableOutput, match="0 MB free") as error:
        deliver(reply, tmp_path / "out")
    assert error.value.code == "disk_full"
    assert not (tmp_path / "out").exists()
    room.update(total=0, free=0)  # a file system that tells no size
    deliver(reply, tmp_path / "out", stretcher=Cut(), mix=False, clip=False)


def test_pitched_files_tell_the_key_and_drums_do_not(reply: SuggestReply, tmp_path: Path) -> None:
    rendered = deliver(reply, tmp_path, stretcher=Cut(), mix=False)
    pitched, kit = rendered.stems
    assert rendered.clip is not None
    for file, tagged in ((pitched, True), (kit, False), (rendered.clip, True)):
        info = soundfile.info(file.path, verbose=True).extra_info
        assert ("Root note : 0x45" in info) == tagged


def test_chords_are_read_from_harmony_alone(reply: SuggestReply, tmp_path: Path) -> None:
    """A minor under a kit that is tuned to E flat minor and louder."""
    bed, kit = reply.suggestions[0].stems
    time_s = np.arange(5 * 44100) / 44100
    for stem, root, level in ((bed, 57, 0.05), (kit, 51, 0.2)):
        hz = 440 * 2 ** ((root + np.array([0, 3, 7]) - 69) / 12)
        sound = level * np.sin(2 * np.pi * hz[:, None] * time_s).sum(axis=0)
        soundfile.write(stem.path, sound, 44100, subtype="FLOAT")
    rendered = deliver(reply, tmp_path / "out", stretcher=Cut(), mix=False, clip=False, midi=True)
    assert rendered.midi is not None
    chords = [m.text for m in mido.MidiFile(rendered.midi).tracks[1] if m.type == "text"]
    assert chords == ["Am"]


def test_a_start_before_the_first_bar_line_is_the_end_of_the_pass_before(
    reply: SuggestReply, tmp_path: Path
) -> None:
    made = [
        deliver(reply, tmp_path / str(beat), stretcher=Cut(), mix=False, start_beat=beat)
        for beat in (-2.0, 6.0)
    ]
    early, late = ([path.read_bytes() for path in each.audio] for each in made)
    assert early == late


def test_an_unreadable_source_leaves_nothing_behind(reply: SuggestReply, tmp_path: Path) -> None:
    reply.suggestions[0].stems[0].path.write_bytes(b"not audio")
    with pytest.raises(Exception, match="stem-0"):
        deliver(reply, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


_FULL_DISK = """
import resource, sys
from pathlib import Path
from engine.errors import UnwritableOutput
from tests.engine.replies import reply_with_two_stems
from tests.engine.delivery.test_writing import deliver

folder = Path(sys.argv[1])
reply = reply_with_two_stems(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    deliver(reply, folder / "out")
except UnwritableOutput as error:
    print(error.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes cannot be limited there")
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FULL_DISK, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{tmp_path}/out/01 Title 0" in ran.stdout
    assert "cannot be written" in ran.stdout
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"sample_rate": 12345}, {"file_format": "flac", "bit_depth": "32f"}]
)
def test_formats_that_do_not_exist(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        RenderOptions(out=tmp_path, **wrong)  # type: ignore[arg-type]

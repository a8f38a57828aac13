"""Ducking in rendered files, measured on a real voice over real stems of another passage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine.audio.decode import decode
from engine.audio.stretch import default_stretcher
from engine.clips.clip import ClipRequest
from engine.delivery.records import RenderedSuggestion, RenderOptions
from engine.delivery.writing import render_suggestion, session_of
from engine.errors import MissingDependency, UsageError
from engine.grid import BeatGrid
from engine.mashup.placement import Placement
from engine.models.song_masher.shipped_mask import SHIPPED_MASK
from engine.suggestions import SessionState, SuggestReply
from tests.engine.replies import A_MINOR, reply_with_two_stems
from tests.recordings import needs_recordings, recordings_dir

BPM = 90.0
BARS = 8
BAR_S = 240 / BPM
RATE = 48_000
SONG = "eif_4_potassium"
#: Bars 58 to 65: three sung, then a rest and a sung one in turn.
VOICE = ("vocals_lead__4.Potassium_Stem_VOX_LEAD.m4a", 58)
SUNG, RESTING = (0, 1, 2, 4, 6), (3, 5, 7)
STEMS = (
    ("other__4.Potassium_Stem_KEYS.m4a", 36),
    ("drums__4.Potassium_Stem_TRAP_BEAT.m4a", 36),
)


def excerpt(name: str, first_bar: int, out: Path) -> Path:
    path = recordings_dir() / "real_stems" / SONG / name
    heard = decode(path, start_s=first_bar * BAR_S, end_s=(first_bar + BARS) * BAR_S)
    soundfile.write(out, heard.samples.T, heard.sample_rate, subtype="FLOAT")
    return out


@pytest.fixture(scope="module")
def reply(tmp_path_factory: pytest.TempPathFactory) -> SuggestReply:
    """The passage in a session of its own tempo, so that nothing but ducking touches it."""
    folder = tmp_path_factory.mktemp("music")
    made = reply_with_two_stems(folder)
    grid = BeatGrid.constant(BPM, end_s=BARS * BAR_S)
    clip = dataclasses.replace(
        made.clip,
        request=ClipRequest(excerpt(*VOICE, folder / "sung.wav")),
        end_s=BARS * BAR_S,
        grid=grid,
        bars=BARS,
        tempo_bpm=BPM,
    )
    stems = tuple(
        dataclasses.replace(
            stem,
            path=excerpt(*source, folder / f"played-{number}.wav"),
            grid=grid,
            placement=Placement(
                f"s{number}", "g", stem.placement.role, 0, BARS, 4, BARS, gain_db=6.0
            ),
        )
        for number, (stem, source) in enumerate(zip(made.suggestions[0].stems, STEMS, strict=True))
    )
    suggestion = dataclasses.replace(made.suggestions[0], stems=stems)
    session = SessionState(BPM, A_MINOR.key, 4)
    return dataclasses.replace(made, clip=clip, session=session, suggestions=(suggestion,))


def deliver(
    reply: SuggestReply,
    out: Path,
    *,
    duck_db: float | None = None,
    network: Path = SHIPPED_MASK,
) -> RenderedSuggestion:
    return render_suggestion(
        reply,
        reply.suggestions[0],
        session=session_of(reply, RATE),
        options=RenderOptions(out=out, bit_depth="32f", duck_db=duck_db, duck_network=network),
        stretcher=default_stretcher(),
        describe=lambda rendered, _: {"duck": repr(rendered.ducking)},
    )


def bars_of(path: Path) -> NDArray[np.float32]:
    """(bars, frames, channels) of a rendered file."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    assert len(samples) == round(BARS * BAR_S * RATE)
    return samples.reshape(BARS, -1, samples.shape[1])


def loss_db(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
    """(pieces,) how much softer each 50 ms became, where they are not silent."""
    size = RATE // 20
    powers = [
        np.square(part.reshape(-1, part.shape[-1])[: part[..., 0].size // size * size])
        .reshape(-1, size * part.shape[-1])
        .mean(axis=1, dtype=np.float64)
        for part in (before, after)
    ]
    loud = powers[0] > 1e-8
    return 10 * np.log10(powers[0][loud] / powers[1][loud])


@needs_recordings
@pytest.mark.parametrize("curve", ["network", "rule"])
def test_stems_step_back_under_a_real_voice_and_come_back(
    reply: SuggestReply, tmp_path: Path, curve: str
) -> None:
    network = SHIPPED_MASK if curve == "network" else tmp_path / "none.safetensors"
    plain = deliver(reply, tmp_path / "a")
    ducked = deliver(reply, tmp_path / "b", duck_db=4.0, network=network)
    assert plain.ducking is None
    assert ducked.ducking is not None
    assert ducked.ducking.curve == curve
    assert ducked.ducking.deepest_db == pytest.approx(4.0, abs=0.1)
    lost = []
    for before, after in zip(plain.stems, ducked.stems, strict=True):
        one, two = bars_of(before.path), bars_of(after.path)
        everywhere = loss_db(one, two)
        assert everywhere.min() > -0.3  # never raised
        assert everywhere.max() < 4.3  # never more than asked
        lost.append(loss_db(one[list(SUNG)], two[list(SUNG)]).mean())
        for bar in RESTING:  # the release is over after two seconds, half a second before the end
            rest = slice(round(2.0 * RATE), round(2.4 * RATE))
            np.testing.assert_array_equal(two[bar, rest], one[bar, rest])
    assert lost[0] > 1.0  # the keys
    assert lost[1] >= 0.0
    if curve == "rule":  # are more in the voice's way than the drums
        assert lost[0] > lost[1]
    assert ducked.clip is not None
    assert plain.clip is not None
    np.testing.assert_array_equal(bars_of(ducked.clip.path), bars_of(plain.clip.path))


@needs_recordings
def test_the_same_ducking_twice_is_the_same_bytes(reply: SuggestReply, tmp_path: Path) -> None:
    first, second = (deliver(reply, tmp_path / name, duck_db=6.0) for name in ("a", "b"))
    for one, two in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_a_damaged_network_writes_nothing(tmp_path: Path) -> None:
    made = reply_with_two_stems(tmp_path)
    network, out = tmp_path / "mask.safetensors", tmp_path / "out"
    network.write_bytes(SHIPPED_MASK.read_bytes()[:-1000])
    with pytest.raises(MissingDependency, match="damaged") as refused:
        deliver(made, out, duck_db=4.0, network=network)
    assert refused.value.exit_code == 4
    assert not out.exists()
    assert deliver(made, out, network=network).files  # what is not asked for is not read


def test_off_by_default(tmp_path: Path) -> None:
    made = reply_with_two_stems(tmp_path)
    assert RenderOptions(out=tmp_path).duck_db is None
    plain, ducked = deliver(made, tmp_path / "a"), deliver(made, tmp_path / "b", duck_db=6.0)
    frames = {soundfile.info(path).frames for path in (*plain.files[:-1], *ducked.files[:-1])}
    assert frames == {plain.session.frames}
    assert plain.stems[0].path.read_bytes() != ducked.stems[0].path.read_bytes()


@pytest.mark.parametrize("depth_db", [0.0, -3.0, 6.1, float("nan")])
def test_depths_that_cannot_be_meant(depth_db: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outside"):
        RenderOptions(out=tmp_path, duck_db=depth_db)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import UnusableInput
from engine.evaluation.gallery import PassageSounds
from engine.models.audio_source import Recording, Sound
from engine.models.mix_nets.network import MixNet, NetKind, NetSettings
from engine.models.mix_nets.ranker import MixRanker
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Search
from engine.theory import Role
from tests.engine import pools
from tests.engine.recordings_made import sound

BARS = 4
KINDS: tuple[NetKind, ...] = ("premixnet", "postmixnet")


def melody(seed: int) -> Sound:
    rng = np.random.default_rng(seed)
    hz = 220 * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 12], 4 * BARS) / 12)
    return sound(hz.tolist(), f"m{seed}")


def table(seed: int) -> np.ndarray:
    return pools.rows(pools.triads(BARS, seed=seed), pools.patterns(BARS, seed=seed))


def clip() -> ClipFeatures:
    return replace(pools.clip_of(table(0)), sound=melody(0))


def pool(role: Role, stems: int = 3, *, first: int = 1) -> RolePool:
    seeds = range(first, first + stems)
    made = pools.pool_of([table(seed) for seed in seeds], role=role)
    return replace(made, sounds=PassageSounds(tuple(melody(seed) for seed in seeds)))


@pytest.fixture(params=KINDS)
def ranker(request: pytest.FixtureRequest) -> MixRanker:
    torch.manual_seed(1)
    return MixRanker(MixNet(NetSettings(request.param, width=1 / 16, bottleneck=2)))


def test_stems_are_ranked_by_what_the_network_hears(ranker: MixRanker) -> None:
    fits = ranker.place(clip(), pool("harmonic"), Search(listen=None))
    assert len(fits) == 3
    assert [fit.score for fit in fits] == sorted((fit.score for fit in fits), reverse=True)
    assert all(0 < fit.score < 1 and fit.parts.learned == fit.score for fit in fits)
    assert len({fit.score for fit in fits}) == 3
    again = ranker.place(clip(), pool("harmonic"), Search(listen=None))
    assert [fit.score for fit in again] == pytest.approx([fit.score for fit in fits])


def test_the_same_music_from_another_file_scores_the_same(ranker: MixRanker) -> None:
    own = pool("drums", 1)
    assert own.sounds is not None
    placed = own.sounds.placed(own, ranker.place(clip(), own, Search())[0], beats=4 * BARS)
    other = replace(placed, recording=Recording("copy", placed.recording.read))
    copies = replace(own, sounds=PassageSounds((other,)))
    one, two = (ranker.place(clip(), p, Search())[0].score for p in (own, copies))
    assert one == pytest.approx(two, abs=1e-6)


def test_no_more_files_are_opened_than_allowed(ranker: MixRanker) -> None:
    assert len(ranker.place(clip(), pool("harmonic", 5), Search(listen=2))) == 2


def test_groups_are_heard_together(ranker: MixRanker) -> None:
    harmony, drums = pool("harmonic", 2), pool("percussion", 3, first=7)
    fits = {
        p.role: [(p, fit) for fit in ranker.place(clip(), p, Search())] for p in (harmony, drums)
    }
    scores, parts = ranker.score_groups(clip(), fits)
    assert scores.shape == (2, 3)
    assert np.unique(scores).size == 6
    assert set(parts) == {"harmony", "rhythm", "balance", "learned"}
    np.testing.assert_array_equal(parts["learned"], scores)
    alone, _ = ranker.score_groups(clip(), {"harmonic": fits["harmonic"]})
    assert alone.tolist() == pytest.approx([fit.score for _, fit in fits["harmonic"]])
    # harmony and bass share a plane: pairs are averaged
    bass = replace(harmony, role="bass")
    both, _ = ranker.score_groups(
        clip(), {"harmonic": fits["harmonic"], "bass": [(bass, f) for _, f in fits["harmonic"]]}
    )
    assert both[0, 1] == pytest.approx(np.mean([fit.score for _, fit in fits["harmonic"]]))


def test_a_group_scores_as_the_network_on_its_planes() -> None:
    torch.manual_seed(1)
    net = MixNet(NetSettings("premixnet", width=1 / 16, bottleneck=2)).eval()
    ranker = MixRanker(net)
    pair = {role: pool(role, 1, first=3) for role in ("harmonic", "percussion")}
    fits = {role: [(p, ranker.place(clip(), p, Search())[0])] for role, p in pair.items()}
    score = ranker.score_groups(clip(), fits)[0].item()
    sounds = [clip().sound, *(p.sounds.placed(p, f, beats=16) for [(p, f)] in fits.values())]
    planes = [ranker._plane(s) for s in sounds]
    spectra = torch.from_numpy((np.stack(planes)[None] + 40) / 30).float()
    with torch.no_grad():
        expected = torch.softmax(net(spectra), dim=1)[0, 0].item()
    assert score == pytest.approx(expected, abs=1e-5)


def test_a_stem_whose_audio_is_gone_is_left_out(
    ranker: MixRanker, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_start: float, _end: float, _rate: int) -> np.ndarray:
        raise UnusableInput("gone", code="missing")

    stems = pool("harmonic")
    sounds = stems.sounds
    assert isinstance(sounds, PassageSounds)
    lost = replace(sounds.sounds[1], recording=Recording("lost", gone))
    stems = replace(stems, sounds=PassageSounds((sounds.sounds[0], lost, sounds.sounds[2])))
    assert {fit.index for fit in ranker.place(clip(), stems, Search())} == {0, 2}
    assert "gone" in caplog.text


def test_without_audio_it_says_so(ranker: MixRanker) -> None:
    with pytest.raises(UnusableInput, match="listens"):
        ranker.place(pools.clip_of(table(0)), pool("harmonic"), Search())
    with pytest.raises(UnusableInput, match="listens"):
        ranker.place(clip(), pools.pool_of([table(1)], role="harmonic"), Search())

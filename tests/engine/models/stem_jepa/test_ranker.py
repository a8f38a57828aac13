from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.models.audio_source import Sound, own_audio
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.models.song_reader import SongReader
from engine.models.stem_jepa.embedding_store import EmbeddingStore
from engine.models.stem_jepa.ranker import JepaRanker
from engine.theory import Role
from tests.engine.models.stem_jepa.jepa import clicks, tiny, tone
from tests.engine.pools import clip_of, patterns, pool_of, rows, triads


class Sounds:
    """The sounds of a pool's stems, in its order; counts what is asked for."""

    def __init__(self, sounds: Sequence[Sound]) -> None:
        self.sounds = sounds
        self.asked = 0

    def placed(self, pool: RolePool, fit: Fit, *, beats: int) -> Sound:
        self.asked += 1
        first, loop = 4 * fit.start_bar, 4 * fit.loop_bars
        return self.sounds[fit.index].at(first + np.arange(beats) % loop).transposed(fit.semitones)


def features(seed: int):
    return rows(triads(4, seed=seed), patterns(4, seed=seed))


def pool(count: int, *, role: Role = "harmonic") -> RolePool:
    made = pool_of([features(seed) for seed in range(count)], role=role)
    return replace(made, sounds=Sounds([tone(220.0 + 40 * i) for i in range(count)]))


def clip() -> ClipFeatures:
    return replace(clip_of(features(99)), sound=clicks(0.25))


def ranker(path: Path | None = None) -> JepaRanker:
    return JepaRanker(tiny(), EmbeddingStore(path))


def test_the_rules_place_and_the_network_scores() -> None:
    found = ranker().place(clip(), pool(5), Search(semitones=(-1, 0, 1)))
    assert sorted(fit.index for fit in found) == [0, 1, 2, 3, 4]
    assert [fit.score for fit in found] == sorted((fit.score for fit in found), reverse=True)
    assert len({fit.score for fit in found}) == 5
    for fit in found:
        assert fit.parts.learned == fit.score
        assert 0 <= fit.score <= 1
        assert -1 <= fit.semitones <= 1


def test_the_score_is_the_cosine_of_what_the_clip_asks_for_and_the_stem() -> None:
    """16 beats of 120 BPM, heard at 118.9 BPM, are one chunk and 10 columns."""
    from engine.models.stem_jepa.audio import sound_image

    model, stems = tiny(), pool(1)
    fit = ranker().place(clip(), stems, Search())[0]
    tempo_bpm = 100 * 2**0.25
    asked = model.embed(sound_image(model.log_mel, clicks(0.25), tempo_bpm), "other")
    found = model.embed(sound_image(model.log_mel, tone(220.0), tempo_bpm))
    assert fit.score == pytest.approx((1 + float(asked @ found)) / 2, abs=1e-5)


def test_no_more_files_are_opened_than_allowed() -> None:
    stems = pool(40)
    found = ranker().place(clip(), stems, Search(keep=36, listen=24))
    assert len(found) == 24
    assert isinstance(stems.sounds, Sounds)
    assert stems.sounds.asked == 24
    assert len(ranker().place(clip(), pool(9), Search(listen=4))) == 4
    assert len(ranker().place(clip(), stems, Search(keep=40, listen=None))) == 40


def test_a_stem_whose_file_is_gone_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    stems = pool(4)
    assert isinstance(stems.sounds, Sounds)
    gone = stems.sounds.sounds[2]

    def unreadable(start_s: float, end_s: float, rate: int) -> np.ndarray:
        raise UnusableInput("stem 2 is gone.")

    object.__setattr__(gone.recording, "read", unreadable)
    found = ranker().place(clip(), stems, Search())
    assert sorted(fit.index for fit in found) == [0, 1, 3]
    assert "stem 2 is gone" in caplog.text


def test_groups_score_the_mean_of_their_pairs() -> None:
    asking, beds, drums = ranker(), pool(3), pool(2, role="percussion")
    fits = {
        "harmonic": [(beds, fit) for fit in asking.place(clip(), beds, Search())],
        "percussion": [(drums, fit) for fit in asking.place(clip(), drums, Search())],
    }
    scores, parts = asking.score_groups(clip(), fits)
    assert scores.shape == (3, 2)
    assert np.all((scores >= 0) & (scores <= 1))
    assert {"harmony", "rhythm", "balance", "learned"} <= set(parts)
    alone, _ = asking.score_groups(clip(), {"harmonic": fits["harmonic"]})
    np.testing.assert_allclose(alone, [fit.score for _, fit in fits["harmonic"]], rtol=1e-6)
    singles = alone[:, None] + np.array([fit.score for _, fit in fits["percussion"]])
    between = 3 * scores - singles  # what the two stems think of each other
    assert np.all((between > 0) & (between < 1))
    assert between.std() > 1e-4


def test_embeddings_are_kept_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    first = ranker(path).place(clip(), pool(3), Search())
    assert path.is_file()
    silent = replace(pool(3), sounds=Sounds([unreadable(tone(220.0 + 40 * i)) for i in range(3)]))
    heard = replace(clip(), sound=unreadable(clicks(0.25)))
    assert ranker(path).place(heard, silent, Search()) == first


def unreadable(sound: Sound) -> Sound:
    def read(start_s: float, end_s: float, sample_rate: int) -> np.ndarray:
        raise AssertionError("read again")

    return replace(sound, recording=replace(sound.recording, read=read))


def test_whole_songs_are_read_as_published() -> None:
    """In their own tempo and key: query times gallery, a cosine each."""
    model, asking = tiny(), ranker()
    assert isinstance(asking, SongReader)
    songs = [tone(220.0, tempo_bpm=97.0), clicks(0.3, tempo_bpm=150.0)]
    table = asking.song_scores([(songs[1], "bass"), (songs[0], "percussion")], songs)
    audio = [Waveform(own_audio(song, 16_000)[None], 16_000) for song in songs]
    asked = [model.embed_query(audio[1], "bass"), model.embed_query(audio[0], "drums")]
    wanted = np.stack(asked) @ np.stack([model.embed_stem(each) for each in audio]).T
    np.testing.assert_allclose(table, wanted, atol=1e-5)


def test_every_moment_is_a_vector_of_length_one() -> None:
    columns = ranker().song_columns(tone(220.0), "vocals")
    assert columns.shape == (50, 80)  # 8 s in steps of 160 ms
    np.testing.assert_allclose(np.linalg.norm(columns, axis=1), 1.0, atol=1e-5)


def test_without_audio_it_says_so() -> None:
    with pytest.raises(UnusableInput, match="no audio"):
        ranker().place(clip_of(features(1)), pool(2), Search())
    with pytest.raises(UnusableInput, match="no audio"):
        ranker().place(clip(), replace(pool(2), sounds=None), Search())

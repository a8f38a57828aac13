from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio.waveform import Waveform
from engine.checkpoints import load_checkpoint
from engine.errors import SomeItemsFailed, UnusableInput
from engine.ingest.adding import AddOptions, add_sources, plan_all
from engine.library.library import Library
from engine.library.rows import NewStem
from engine.models.stem_jepa.checkpoint import load_stem_jepa
from engine.models.stem_jepa.network import JepaConfig
from engine.training.midi_audio.listing import ListedSong, write_listing
from engine.training.midi_corpus import Split
from engine.training.requests import TrainRequest
from engine.training.stem_jepa.run import _songs, run
from engine.training.stem_jepa.settings import JepaTraining
from tests.engine.library.songs import song
from tests.engine.training.heard import outdate, write_splits
from tests.engine.training.stem_jepa.test_phases import TINY as TWO_PHASES

RATE = 8000
TINY = JepaTraining(
    network=JepaConfig(width=16, depth=1, heads=2, predictor_width=16, predictor_layers=2),
    steps=3,
    warmup_steps=1,
    batch=2,
    crop_samples=2560,
)


def write_song(folder: Path, seed: int, *names: str, seconds: float = 1.0) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name in names:
        samples = 0.3 * rng.uniform(-1, 1, round(seconds * RATE))
        soundfile.write(folder / f"{name}.wav", samples.astype(np.float32), RATE)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed in range(3):
        write_song(tmp_path / "data" / f"song {seed}", seed, "drums", "bass", "vocals")
    return tmp_path / "data"


def asked(tmp_path: Path, *data: Path) -> TrainRequest:
    return TrainRequest("stem-jepa", data, tmp_path / "jepa.safetensors", device="cpu")


def unheard(_text: str) -> None:
    """Nobody listens."""


def test_from_folders_to_a_checkpoint(data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    report = run(asked(tmp_path, data), told.append, training=TINY)
    assert report.finished
    assert report.steps == 3
    assert {"loss", "top1", "spread"} <= report.metrics.keys()
    assert any("step 3 of 3" in text for text in told)
    again = run(replace(asked(tmp_path, data), resume=True), unheard, training=TINY)
    assert (report.notes, len(again.notes)) == ((), 1)
    assert "already finished" in again.notes[0]
    model = load_stem_jepa(report.checkpoint)
    assert model.config.statistics.mean != -9.453  # measured on these songs
    assert load_checkpoint(report.checkpoint, "stem-jepa").info.data_sha
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (1, RATE)).astype(np.float32)
    assert np.linalg.norm(model.embed_stem(Waveform(noise, RATE))) == pytest.approx(1.0, abs=1e-4)


def test_a_second_run_finds_the_songs_and_mends_a_damaged_one(data: Path, tmp_path: Path) -> None:
    first = run(asked(tmp_path, data), unheard, training=TINY).metrics
    stored = sorted((tmp_path / "jepa-audio").glob("*.npy"))
    assert len(stored) == 3
    before = [path.read_bytes() for path in stored]
    np.save(tmp_path / "other.npy", np.zeros((2, 5)))
    for damaged in (before[0][:200], b"", b"PK\3\4", (tmp_path / "other.npy").read_bytes()):
        stored[0].write_bytes(damaged)
        assert run(asked(tmp_path, data), unheard, training=TINY).metrics == first
        assert [path.read_bytes() for path in stored] == before
    for note in (tmp_path / "jepa-audio").glob("*.key"):  # which audio is whose
        note.write_text("nonsense")
    assert run(asked(tmp_path, data), unheard, training=TINY).metrics == first


def test_a_song_of_a_folder_and_of_a_library_is_one(tmp_path: Path) -> None:
    """Given both ways it would be trained on and held out."""
    data = tmp_path / "data"
    for seed in range(4):
        folder = write_song(data / f"song {seed}", seed, "drums", "bass", "vocals")
        for path in folder.iterdir():
            soundfile.write(path, np.tile(soundfile.read(path, dtype="f4")[0], 5), RATE)
    library = tmp_path / "library"
    options = AddOptions(stems=True)
    plans, _ = plan_all([data], options)
    assert [o.status for o in add_sources(plans, library, options)] == ["added"] * 4
    both = TrainRequest("stem-jepa", (data, library), tmp_path / "both.safetensors", device="cpu")
    shas = []
    for request in (both, replace(both, data=(library, data)), replace(both, data=(data,))):
        checkpoint = run(request, unheard, training=TINY).checkpoint
        shas.append(load_checkpoint(checkpoint, "stem-jepa").info.data_sha)
    assert len(set(shas)) == 1
    assert len(list((tmp_path / "both-audio").glob("*.npy"))) == 4
    with Library.open(library) as opened:
        names = sorted(row.id for row in opened.songs())
    splits: tuple[Split, ...] = ("test", "val", "train", "train")
    write_listing(
        library,
        [
            ListedSong(name, f"{name}.mid", "set", name, split, "r", "sung", "")
            for name, split in zip(names, splits, strict=True)
        ],
    )
    for order in ((data, library), (library, data)):
        report = run(replace(both, data=order, epochs=4), unheard, training=TINY)
        assert report.steps == 4  # two songs in a batch; the others are for validation and tests
        assert report.metrics["mean_nr"] <= 1.0


def test_a_song_in_two_encodings_is_held_out_in_both(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for seed in range(12):
        folder = write_song(data / "wav" / f"song {seed}", seed, "drums", "bass")
        for path in folder.iterdir():
            samples, rate = soundfile.read(path, dtype="float32")
            louder = data / "flac" / folder.name.upper() / f"{path.stem}.flac"
            louder.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(louder, 1.1 * samples, rate)
    seen: list[tuple[int, int]] = []

    def trained(songs: list[object], training: object, **options: list[object]) -> object:
        seen.append((len(songs), len(options["validation"])))
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.training.stem_jepa.run.train_stem_jepa", trained)
        for folders in ((data / "wav",), (data / "wav", data / "flac")):
            with pytest.raises(KeyboardInterrupt):
                run(asked(tmp_path, *folders), unheard, training=TINY)
    (train, held_out), both = seen
    assert held_out > 0
    assert both == (2 * train, 2 * held_out)


def test_the_split_is_a_part_of_the_data(tmp_path: Path) -> None:
    """Going on with another one would train on what was held out."""
    folder = tmp_path / "library"
    rng = np.random.default_rng(1)
    with Library.open(folder) as library:
        for seed in range(4):
            plain = song(seed, roles=("drums", "vocals"))
            stems = tuple(
                NewStem(stem.role, Waveform(rng.uniform(-0.5, 0.5, (1, RATE)).astype("f4"), RATE))
                for stem in plain.stems
            )
            library.add_song(replace(plain, stems=stems))
        names = [row.id for row in library.songs()]
    shas = []
    for held_out in names[:2]:
        write_listing(
            folder,
            [
                ListedSong(n, n, "set", n, "val" if n == held_out else "train", "r", "sung", "")
                for n in names
            ],
        )
        checkpoint = run(asked(tmp_path, folder), unheard, training=TINY).checkpoint
        shas.append(load_checkpoint(checkpoint, "stem-jepa").info.data_sha)
    assert shas[0] != shas[1]


def test_minutes_are_those_of_reading_too(data: Path, tmp_path: Path) -> None:
    request = replace(asked(tmp_path, data), minutes=1e-9)
    with pytest.raises(SomeItemsFailed, match="reading song 1") as caught:
        run(request, unheard, training=TINY)
    assert caught.value.code == "out_of_time"
    assert not request.out.exists()


def test_epochs_and_seed_are_the_requests(data: Path, tmp_path: Path) -> None:
    request = replace(asked(tmp_path, data), epochs=5, seed=7)
    report = run(request, unheard, training=TINY)
    assert report.steps == 5  # two songs are trained on, in one batch
    assert load_checkpoint(report.checkpoint, "stem-jepa").info.settings["seed"] == 7


def test_resumes(data: Path, tmp_path: Path) -> None:
    request = replace(asked(tmp_path, data), minutes=1.0)
    now_s = 0.0

    def told(text: str) -> None:
        nonlocal now_s
        now_s += 60.0 * text.startswith("training: step 1")  # then the time is up

    stopped = run(request, told, training=TINY, clock=lambda: now_s)
    assert (stopped.finished, stopped.steps) == (False, 1)
    request = replace(request, minutes=None, resume=True)
    report = run(request, unheard, training=TINY)
    assert report.finished
    assert report.steps == 3


def test_from_a_library(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with Library.open(tmp_path / "library") as library:
        for seed in range(3):
            plain = song(seed, roles=("drums", "vocals"))
            noise = [rng.uniform(-0.5, 0.5, (1, RATE)).astype(np.float32) for _ in plain.stems]
            stems = tuple(
                NewStem(stem.role, Waveform(samples, RATE))
                for stem, samples in zip(plain.stems, noise, strict=True)
            )
            library.add_song(replace(plain, stems=stems))
    report = run(asked(tmp_path, tmp_path / "library"), unheard, training=TINY)
    assert report.finished
    assert len(list((tmp_path / "jepa-audio").glob("*.npy"))) == 3


def test_a_rendered_library_says_what_is_for_training(tmp_path: Path) -> None:
    """Songs for tests take no part, songs for validation give the metrics."""
    folder = tmp_path / "library"
    rng = np.random.default_rng(1)
    listed = []
    with Library.open(folder) as library:
        for seed, split in enumerate(("train", "train", "val", "test")):
            plain = song(seed, roles=("drums", "vocals"))
            stems = tuple(
                NewStem(stem.role, Waveform(rng.uniform(-0.5, 0.5, (1, RATE)).astype("f4"), RATE))
                for stem in plain.stems
            )
            row = library.add_song(replace(plain, stems=stems))
            listed.append(
                ListedSong(row.id, f"{seed}.mid", "set", f"g{seed}", split, "r", "sung", "")
            )
    write_listing(folder, listed)
    request = replace(asked(tmp_path, folder), epochs=3)
    report = run(request, unheard, training=TINY)
    assert report.steps == 3  # one batch holds both songs for training
    assert report.metrics["mean_nr"] in (0.5, 0.75, 1.0)  # two stems of one song
    assert any("listed for tests" in note for note in report.notes)
    other = tmp_path / "other encodings"
    for seed, title in ((20, "Song 3"), (21, "SONG 2"), (22, "ours")):
        write_song(other / title, seed, "drums", "vocals")
    both = run(replace(request, data=(folder, other)), unheard, training=TINY)
    assert both.steps == 2 * 3  # in three rounds of two batches: only ours is trained on too
    assert both.metrics["chance_of_role"] == 0.75  # one of two songs validates with song 2
    (tmp_path / "jepa-audio").rename(tmp_path / "elsewhere")
    run(request, unheard, training=TINY)
    assert len(list((tmp_path / "jepa-audio").glob("*.npy"))) == 3


def test_variants_of_one_composition_are_on_one_side(tmp_path: Path) -> None:
    """Their titles differ; the list says whose they are."""
    rng = np.random.default_rng(1)
    folders = [tmp_path / name for name in ("a", "b")]
    rows = []
    for seed, folder in enumerate((*folders, folders[1])):
        with Library.open(folder) as library:
            plain = song(seed, roles=("drums", "vocals"))
            stems = tuple(
                NewStem(stem.role, Waveform(rng.uniform(-0.5, 0.5, (1, RATE)).astype("f4"), RATE))
                for stem in plain.stems
            )
            rows.append(library.add_song(replace(plain, stems=stems)))
    seen: list[tuple[int, int]] = []

    def trained(songs: list[object], training: object, **options: list[object]) -> object:
        seen.append((len(songs), len(options["validation"])))
        raise KeyboardInterrupt

    def split(*splits: str) -> tuple[int, int]:
        """Songs to train on and held out, when two of the three are one composition."""
        write_splits(folders[0], rows[:1], [("one", splits[0])])
        write_splits(folders[1], rows[1:], [("one", splits[1]), ("two", splits[2])])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("engine.training.stem_jepa.run.train_stem_jepa", trained)
            for order in (folders, folders[::-1]):
                with pytest.raises(KeyboardInterrupt):
                    run(asked(tmp_path, *order), unheard, training=TINY)
        first, second = seen[-2:]
        assert first == second
        return first

    assert split("val", "train", "train") == (1, 2)
    assert sorted(split("train", "train", "train")) == [1, 2]  # the first one is held out whole
    with pytest.raises(UnusableInput, match="there are 1"):
        split("test", "train", "train")


def test_an_edited_song_is_used_in_its_new_rendering_and_a_removed_one_counts(
    tmp_path: Path,
) -> None:
    """Both renderings of a file have one title and one composition."""
    folder = tmp_path / "library"
    titles = ("set a", "set a", "set b", "set c", "set d", "set gone", "set removed")
    with Library.open(folder) as library:
        rows = [
            library.add_song(song(seed, title=title, roles=("drums", "vocals")))
            for seed, title in enumerate(titles)
        ]
        library.remove(rows[6].id)
    said = [(group, "train") for group in "AABC"] + [("D", "val"), ("E", "train"), ("C", "test")]
    write_splits(folder, rows, said)
    outdate(folder, rows[0].id, rows[5].id)
    notes: list[str] = []
    found = _songs(asked(tmp_path, folder), unheard, notes)
    used = sorted((song.group, song.is_held_out) for song in found.values())
    assert used == [("A", False), ("B", False), ("D", True)]
    assert notes == [f"set {name}: listed for tests, left out" for name in ("a", "gone")]


def test_what_cannot_be_used_is_named(data: Path, tmp_path: Path) -> None:
    write_song(tmp_path / "more" / "lonely", 9, "drums")
    (tmp_path / "more" / "lonely" / "vocals.wav").write_bytes(b"")
    notes = run(asked(tmp_path, data, tmp_path / "more"), unheard, training=TINY).notes
    assert len(notes) == 1
    assert notes[0].startswith("lonely:")
    with pytest.raises(UnusableInput, match="there are 0"):
        run(asked(tmp_path, tmp_path / "more"), unheard, training=TINY)


def test_a_song_too_quiet_to_draw_from_is_named_before_training(data: Path, tmp_path: Path) -> None:
    """Were it held out, nothing could be measured after the training."""
    quiet = tmp_path / "more" / "quiet"
    write_song(quiet, 9, "drums", "vocals")
    for path in quiet.iterdir():
        samples, rate = soundfile.read(path, dtype="float32")
        soundfile.write(path, samples * (0.05 / np.abs(samples).max()), rate)
    notes = run(asked(tmp_path, data, tmp_path / "more"), unheard, training=TINY).notes
    assert notes == ("quiet: fewer than two of its stems peak above -20 dB",)


@pytest.mark.parametrize("training", [TINY, TWO_PHASES], ids=["one phase", "two phases"])
@pytest.mark.parametrize("seconds", [0.05, 0.12])
def test_a_song_too_short_to_embed_is_named_before_training(
    data: Path, tmp_path: Path, training: JepaTraining, seconds: float
) -> None:
    """No picture can be made of it, nor can it be ranked after the training."""
    write_song(tmp_path / "more" / "blip", 9, "drums", "vocals", seconds=seconds)
    notes = run(asked(tmp_path, data, tmp_path / "more"), unheard, training=training).notes
    assert notes == (f"blip: {seconds:.3f} s are too short, 0.16 s are needed",)


@pytest.mark.parametrize("training", [TINY, TWO_PHASES], ids=["one phase", "two phases"])
def test_songs_of_one_column_of_patches_are_long_enough(
    tmp_path: Path, training: JepaTraining
) -> None:
    for seed in range(3):
        write_song(tmp_path / "data" / f"s{seed}", seed, "drums", "bass", seconds=0.16)
    report = run(asked(tmp_path, tmp_path / "data"), unheard, training=training)
    assert report.finished
    assert report.notes == ()

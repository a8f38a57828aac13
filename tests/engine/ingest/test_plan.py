"""What paths mean: songs, stems, multitracks, and the roles that names tell."""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from engine.errors import UnusableInput
from engine.ingest import SourcePlan, plan_sources, role_of, sum_files
from tests.recordings import needs_recordings, recordings_dir

NAMES = {
    "vocals": [
        "VOX_LEAD", "BGVOX_2", "Lead Vocal", "Gesang", "voix", "voz", "Vocals", "LEADVOX", "vox",
        "BackingVocals", "Backing Vox 3", "BVs", "AdLibs", "Ad-Libs", "Choir", "Chœurs", "Coro",
        "Acapella", "Stimme 2", "Vocal FX", "VoxPad", "Bass Vocal", "sång", "voce", "ボーカル",
        "Вокал", "Vocals Master", "12 - MainVocals_v3", "Lithium_Stem_BGVOX_HARMONY_GLITCH",
        "vocals_lead__take one",
    ],
    "drums": [
        "Kick", "BD_03", "Snare", "HH", "Open_HiHat", "Closed_HihHat_03", "hi-hat", "Drums",
        "Schlagzeug", "batterie", "Batería", "bassdrum04", "2_bassdrum04.ogg", "Bass Drum",
        "BassDrum", "808 Kick", "808 Drums", "TR-808 Loop", "909", "kick01.ogg", "Kick_In", "OH_L",
        "Toms", "Clap", "Crash", "Shaker", "Percussion Loop", "drumloop_120", "Drum Mix",
        "drum_bus", "Caisse claire", "Grosse caisse", "cassa", "perkusja", "ドラム", "барабаны",
        "4.Potassium_Stem_END_DRUMS", "BREAKBEAT", "Slow Beat", "Kick Bass",
    ],
    "bass": [
        "Bass", "808", "808s", "SubBass", "Sub", "Basse", "Bajo", "Basso", "bassguitar",
        "Bass Guitar", "E-Bass", "Bassgitarre", "Synth Bass", "SYNTHBASS", "SY_BASS", "Mute_Bass",
        "PAD_BASS_mobile", "2_Bass_Slap_02", "Double Bass", "Kontrabass", "ベース", "бас",
    ],
    "other": [
        "Synths", "Keys", "Guitar", "Gtr", "Pad", "Strings", "Horns", "FX", "Keys&Synths",
        "leadguitar", "E-Piano", "E-Gitarre", "Guitare acoustique", "Chitarra", "Bläser",
        "Klavier", "clav", "violins", "Bassoon", "Bass Clarinet", "Steel Drums", "Lead", "Arp",
        "MINILOGUE_SYNTH_mobile", "Progressive_Pluck", "Trumpet", "Riser", "ギター",
    ],
    "mix": ["Master", "Mixdown", "Full Mix", "6.Caesium_Master_mobile", "Instrumental", "My Mix"],
    None: [
        "My Song", "03 - Untitled", "Hatsune Miku", "Kickstart", "Basement", "Padlock", "Stringer",
        "Voxel", "Harpoon", "Audio 12", "絆ふぉーえばー", "", "...", "120 bpm Am",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "role"), [(name, role) for role, names in NAMES.items() for name in names]
)
def test_names_tell_roles(name, role):
    assert role_of(name) == role
    assert role_of(f"{name}.wav") == role


@pytest.mark.parametrize("name", ["lead vocal", "LEAD-VOCAL", "Lead.Vocal", "lead__vocal 07"])
def test_case_and_separators_do_not_matter(name):
    assert role_of(name) == "vocals"


def test_decomposed_names_of_macos_are_read():
    for name in ("Batería", "Bläser", "ドラム", "ベース", "ボーカル"):
        assert role_of(unicodedata.normalize("NFD", name)) == role_of(name) is not None


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


def planned(*paths: Path, **options) -> list[SourcePlan]:
    return list(plan_sources(paths, **options))


def names(plan: SourcePlan) -> list[str]:
    return [file.path.name for file in plan.files]


def test_a_file_is_a_song(tmp_path):
    touch(tmp_path, "04 - My_great song.wav")
    (plan,) = planned(tmp_path / "04 - My_great song.wav")
    assert plan.kind == "song"
    assert plan.title == "My great song"
    assert [(file.path.name, file.role) for file in plan.files] == [
        ("04 - My_great song.wav", "mix")
    ]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("01 One.wav", "One"),
        ("3. Three.wav", "Three"),
        ("12 - Twelve.wav", "Twelve"),
        ("7_seven_up.wav", "seven up"),
        ("99 Luftballons.wav", "99 Luftballons"),
        ("2-step.wav", "2-step"),
        ("04 絆ふぉーえばー – ű.wav", "絆ふぉーえばー – ű"),
        ("01.wav", "01"),
    ],
)
def test_titles_lose_their_track_number(tmp_path, name, title):
    (plan,) = planned(touch(tmp_path, name) / name)
    assert plan.title == title


def test_a_file_with_a_role_is_a_stem(tmp_path):
    touch(tmp_path, "loop.flac")
    (plan,) = planned(tmp_path / "loop.flac", role="drums")
    assert plan.kind == "stem"
    assert plan.files[0].role == "drums"
    (whole,) = planned(tmp_path / "loop.flac", role="mix")
    assert whole.kind == "song"


@pytest.mark.parametrize("name", ["Song.stem.mp4", "SONG.STEM.MP4", "Song.Stem.mp4"])
def test_a_stem_mp4_is_a_multitrack(tmp_path, name):
    touch(tmp_path, name)
    (plan,) = planned(tmp_path / name)
    assert plan.kind == "stem-mp4"
    assert plan.title.lower() == "song"


def test_a_folder_of_stems_is_one_song(tmp_path):
    folder = touch(
        tmp_path / "My Song", "Kick.wav", "Snare.wav", "Bass.wav", "VOX_LEAD.wav", "BGVOX_1.wav",
        "Weird Thing.wav", "Master.wav", "notes.txt", "Kick.wav.asd", ".hidden.wav",
    )  # fmt: skip
    (plan,) = planned(folder)
    assert plan.kind == "multitrack"
    assert plan.title == "My Song"
    assert [path.name for path in plan.of_role("vocals")] == ["BGVOX_1.wav", "VOX_LEAD.wav"]
    assert [path.name for path in plan.of_role("drums")] == ["Kick.wav", "Snare.wav"]
    assert [path.name for path in plan.of_role("other")] == ["Weird Thing.wav"]
    assert plan.of_role("mix") == ()
    assert [path.name for path in plan.left_out] == ["Master.wav"]
    assumed, master = plan.notes
    assert "Weird Thing.wav" in assumed
    assert master == "Master.wav is left out: it is taken for the mix of the others."


def test_a_folder_of_songs_is_searched(tmp_path):
    touch(
        tmp_path, "b.mp3", "A.wav", "Album/2. two.flac", "Album/01 one.flac",
        "Stems/Song/drums.wav", "Stems/Song/bass.wav", "__MACOSX/junk.wav", ".git/x.wav",
        "deep/er/still/c.ogg",
    )  # fmt: skip
    plans = planned(tmp_path)
    assert [(plan.kind, plan.title) for plan in plans] == [
        ("song", "A"),
        ("song", "b"),
        ("song", "one"),
        ("song", "two"),
        ("song", "c"),
        ("multitrack", "Song"),
    ]


def test_a_library_among_the_music_is_no_music(tmp_path):
    touch(tmp_path, "a song.wav")
    touch(tmp_path / "library" / "audio", "0a1b.flac")
    (tmp_path / "library" / "library.sqlite").touch()
    assert [plan.title for plan in planned(tmp_path)] == ["a song"]


def test_order_does_not_depend_on_the_disk(tmp_path):
    first = touch(tmp_path / "one", "c.wav", "a.wav", "B.wav", "x/d.wav")
    second = touch(tmp_path / "two", "x/d.wav", "B.wav", "a.wav", "c.wav")
    assert [plan.title for plan in planned(first)] == ["a", "B", "c", "d"]
    assert [plan.title for plan in planned(second)] == ["a", "B", "c", "d"]


def test_stems_declared_makes_every_folder_one_song(tmp_path):
    folder = touch(tmp_path / "Song", "Audio 1.wav", "Audio 2.wav", "Vox.wav")
    assert [plan.kind for plan in planned(folder)] == ["song"] * 3
    (plan,) = planned(folder, stems=True)
    assert plan.kind == "multitrack"
    assert [path.name for path in plan.of_role("other")] == ["Audio 1.wav", "Audio 2.wav"]
    assert len(plan.notes) == 2


def test_a_role_makes_every_file_a_stem(tmp_path):
    folder = touch(tmp_path / "Loops", "a.wav", "kick.wav", "bass.wav", "more/b.wav")
    plans = planned(folder, role="drums")
    assert [plan.kind for plan in plans] == ["stem"] * 4
    assert {plan.files[0].role for plan in plans} == {"drums"}


def test_a_folder_of_loops_of_one_kind_is_not_summed(tmp_path):
    folder = touch(tmp_path / "Loops", *(f"drum loop {n}.wav" for n in range(5)))
    assert [plan.kind for plan in planned(folder)] == ["song"] * 5
    kit = touch(tmp_path / "Kit", "Kick.wav", "Snare.wav", "Hats.wav")
    assert [plan.kind for plan in planned(kit)] == ["multitrack"]


def test_one_song_alone_is_a_song_whatever_its_title(tmp_path):
    folder = touch(tmp_path / "Album", "Bass Cannon.mp3")
    assert [plan.kind for plan in planned(folder)] == ["song"]
    stated = touch(tmp_path / "Singer", "vocals_lead__take.wav")
    (plan,) = planned(stated)
    assert plan.kind == "multitrack"
    assert plan.files[0].role == "vocals"


def test_a_master_alone_is_a_song(tmp_path):
    folder = touch(tmp_path / "Song", "Master.wav")
    (plan,) = planned(folder, stems=True)
    assert plan.kind == "song"
    assert [file.role for file in plan.files] == ["mix"]


@pytest.mark.parametrize(
    ("folder", "title"),
    [("My Song Stems", "My Song"), ("Tune (Stems)", "Tune"), ("Hit/Stems", "Hit"), ("Ű_2", "Ű 2")],
)
def test_folder_titles(tmp_path, folder, title):
    (plan,) = planned(touch(tmp_path / folder, "drums.wav", "bass.wav"))
    assert plan.title == title


def test_symlink_loops_end(tmp_path):
    folder = touch(tmp_path / "Music", "a.wav", "sub/b.wav")
    (folder / "sub" / "again").symlink_to(folder, target_is_directory=True)
    (folder / "broken.wav").symlink_to(folder / "nowhere.wav")
    assert [plan.title for plan in planned(folder)] == ["a", "broken", "b"]


def test_unusable_paths_are_named(tmp_path):
    touch(tmp_path, "readme.txt", "empty/.hidden.wav")
    cases = {
        tmp_path / "gone.wav": "missing",
        tmp_path / "readme.txt": "not_audio",
        tmp_path / "empty": "no_audio",
    }
    for path, code in cases.items():
        with pytest.raises(UnusableInput) as caught:
            planned(path)
        assert caught.value.code == code
        assert str(path) in caught.value.message
        assert caught.value.hint


def test_good_paths_come_before_a_bad_one(tmp_path):
    touch(tmp_path, "a.wav")
    plans = plan_sources([tmp_path / "a.wav", tmp_path / "gone.wav"])
    assert next(plans).title == "a"
    with pytest.raises(UnusableInput):
        next(plans)


def tone(path: Path, *, rate: int, seconds: float, channels: int = 1, level: float = 0.2) -> Path:
    time = np.arange(round(rate * seconds)) / rate
    samples = np.repeat(level * np.sin(2 * np.pi * 440 * time)[:, np.newaxis], channels, axis=1)
    sf.write(path, samples, rate, subtype="FLOAT")
    return path


def test_sums_have_the_highest_rate_and_the_longest_length(tmp_path):
    files = [
        tone(tmp_path / "a.wav", rate=44_100, seconds=1.0),
        tone(tmp_path / "b.wav", rate=48_000, seconds=2.0, channels=2),
        tone(tmp_path / "c.wav", rate=32_000, seconds=0.5),
    ]
    total = sum_files(files)
    assert (total.channels, total.frames, total.sample_rate) == (2, 96_000, 48_000)
    peaks = [np.abs(total.samples[:, a:b]).max() for a, b in ((2000, 20_000), (50_000, 90_000))]
    assert peaks == pytest.approx([0.6, 0.2], abs=0.01)


def test_sums_stay_at_48_khz_at_most_and_may_exceed_full_scale(tmp_path):
    one = tone(tmp_path / "a.wav", rate=96_000, seconds=0.5, level=0.9)
    total = sum_files([one, one])
    assert total.sample_rate == 48_000
    assert np.abs(total.samples).max() == pytest.approx(1.8, abs=0.02)


def test_one_file_is_its_own_sum(tmp_path):
    file = tone(tmp_path / "a.wav", rate=44_100, seconds=0.3)
    total = sum_files([file])
    expected, _ = sf.read(file, dtype="float32")
    np.testing.assert_array_equal(total.samples[0], expected)


def test_nothing_cannot_be_summed():
    with pytest.raises(UnusableInput):
        sum_files([])


@needs_recordings
def test_names_of_real_stem_files():
    with (recordings_dir() / "real_stems" / "index.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    told = {row["file"]: role_of(row["file"].split("__", 1)[1]) for row in rows}
    wrong = {
        row["file"] for row in rows if (told[row["file"]] or "other") != row["role"].split("_")[0]
    }
    # Two singers whose files name only the data set, a kick filed under bass, drum noise.
    assert len(wrong) <= 4
    assert len(rows) > 100


@needs_recordings
def test_real_bundles_are_multitracks():
    plans = planned(recordings_dir() / "real_stems")
    assert len(plans) == 10
    assert {plan.kind for plan in plans} == {"multitrack"}
    caesium = next(plan for plan in plans if "caesium" in plan.title)
    assert len(caesium.left_out) == 1
    assert len(caesium.of_role("vocals")) == 6

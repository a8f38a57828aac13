"""The list of suggestions in the device: pages, lost hits, favourites and rejected ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.max4live.engine_es5 import needs_mujs, play

pytestmark = needs_mujs


def test_suggestions_fill_the_list_eight_to_a_page(tmp_path: Path) -> None:
    played = play("connect(); understand(); hits(10);", tmp_path)
    cells = [played.shown("row", 1, cell) for cell in ("title", "role", "fit", "semi", "stretch")]
    assert cells == ["Song 1", "harm+drums", "95 %", "-3", "0.82x"]
    assert played.shown("row", 8, "title") == "Song 8"
    assert played.shown("page") == "1/2"
    played = play('connect(); understand(); hits(10); click("next"); click("row", 2);', tmp_path)
    assert [played.shown("row", row, "title") for row in (1, 2, 3)] == ["Song 9", "Song 10", " "]
    assert (played.shown("page"), played.shown("row", 2, "on")) == ("2/2", 1)


def test_a_lost_hit_is_asked_for_again(tmp_path: Path) -> None:
    scenario = """
        connect(); understand();
        var real = hear;
        hear = function (address, req, rank, id) {
            if (id !== "d2") { real.apply(this, arguments); }
        };
        hits(3);
        hear = real;
        hear("/dawlink/suggest/hit", sent("/dawlink/suggest/get")[0], 2, "s2", 0.9, "harmonic",
            "Song 2", 0.8, -3, 0, 12);
        hear("/dawlink/suggest/hit", sent("/dawlink/suggest/get")[0], 2, "d2", 0.9, "percussion",
            "Song 2", 0.9, 0, 0, 12);
        hear("/dawlink/suggest/end", sent("/dawlink/suggest/get")[0], 2);
    """
    played = play(scenario, tmp_path)
    (get,) = played.sent("/dawlink/suggest/get")
    assert get[1:] == [played.sent("/dawlink/suggest")[0][0], 2]
    assert played.shown("row", 2, "role") == "harm+drums"


def test_the_roles_of_the_menu_are_asked_for(tmp_path: Path) -> None:
    played = play('click("roles", 3); connect(); understand(); click("roles", 5);', tmp_path)
    assert [asked[3] for asked in played.sent("/dawlink/suggest")] == ["bass", "*"]


def test_a_new_selection_cancels_what_was_asked_for_the_old_one(tmp_path: Path) -> None:
    scenario = """
        connect(); understand();
        set[20].values.loop_end = 12;
        changed_in_live("detail_clip");
    """
    played = play(scenario, tmp_path)
    (cancel,) = played.sent("/dawlink/cancel")
    assert cancel[1] == played.sent("/dawlink/suggest")[0][0]
    assert played.sent("/dawlink/clip")[-1][4] == pytest.approx(12)


def test_favourites_and_rejected_are_kept_with_the_set(tmp_path: Path) -> None:
    scenario = """
        connect(); understand(); hits(3);
        click("row", 1); click("favourite", 1); click("row", 2); click("reject");
    """
    played = play(scenario, tmp_path)
    stored = [atoms[1:] for atoms in played.out if atoms[0] == 5]
    assert stored[-1] == ["v1", 1, "d1+s1", "d2+s2"]
    assert played.shown("row", 1, "title") == "* Song 1"
    assert played.shown("row", 2, "title") == "Song 3"
    played = play('restore("v1", 1, "s1+d1", "s2+d2"); connect(); understand(); hits(3);', tmp_path)
    assert [played.shown("row", row, "title") for row in (1, 2, 3)] == [
        "* Song 1", "Song 3", " ",
    ]  # fmt: skip


LATE = """
    connect(); understand();
    var real = hear;
    hear = function (address, req, rank, id) {
        if (id !== "s2") { real.apply(this, arguments); }
    };
    hits(3);
    hear = real;
    hear("/dawlink/suggest/hit", sent("/dawlink/suggest/get")[0], 2, "s2", 0.9, "harmonic",
        "Song 2", 0.8, -3, 0, 12);
    hear("/dawlink/suggest/end", sent("/dawlink/suggest/get")[0], 2);
"""


def test_stems_that_come_in_another_order_are_the_same_suggestion(tmp_path: Path) -> None:
    played = play(LATE + 'click("row", 2); click("favourite", 1); click("insert");', tmp_path)
    assert played.shown("row", 2, "role") == "harm+drums"
    assert [atoms[1:] for atoms in played.out if atoms[0] == 5] == [["v1", 1, "d2+s2"]]
    assert played.sent("/dawlink/render")[0][1] == "s2 d2"
    for kept in ("d2+s2", "s2+d2"):
        played = play(f'restore("v1", 0, "{kept}");' + LATE, tmp_path)
        titles = [played.shown("row", row, "title") for row in (1, 2, 3)]
        assert titles == ["Song 1", "Song 3", " "]


def test_what_is_kept_fits_into_a_list_that_max_does_not_cut(tmp_path: Path) -> None:
    many = ", ".join(f'"d{number}+s{number}"' for number in range(100, 280))
    scenario = f'restore("v1", 10, {many}); connect(); understand(); hits(2);'
    played = play(scenario + 'click("row", 1); click("favourite", 1);', tmp_path)
    (stored,) = (atoms[1:] for atoms in played.out if atoms[0] == 5)
    kept = [f"d{number}+s{number}" for number in (*range(100, 110), *range(160, 280))]
    assert stored == ["v1", 11, *kept[:10], "d1+s1", *kept[10:]]
    assert 2 + 2 * (len(stored) - 13) <= 256  # as many favourites as rejected


def test_a_click_beside_the_clip_keeps_the_list(tmp_path: Path) -> None:
    scenario = """
        connect(); understand(); hits(2);
        set[2].lists.detail_clip = []; set[11].lists.clip = [];
        changed_in_live("detail_clip");
    """
    played = play(scenario, tmp_path)
    assert played.shown("message") == "Select an audio clip."
    assert played.shown("row", 1, "title") == "Song 1"


def test_without_follow_only_suggest_looks(tmp_path: Path) -> None:
    scenario = """
        ui("follow", 0); connect(); understand();
        set[20].values.loop_end = 12; changed_in_live("detail_clip");
    """
    played = play(scenario, tmp_path)
    assert not played.sent("/dawlink/suggest")
    assert played.shown("message") == "Press Suggest."
    assert [clip[4] for clip in played.sent("/dawlink/clip")] == pytest.approx([20, 20])
    played = play(scenario + 'click("suggest"); understand();', tmp_path)
    assert played.sent("/dawlink/clip")[-1][4] == pytest.approx(12)
    assert len(played.sent("/dawlink/suggest")) == 1

"""From predictions to figures, with tiny numbers worked out by hand."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from simulations.results import CURVES, SINGLE, save_results, summarise, user_figures
from simulations.statistics import accuracy, macro_recall

Record = dict[str, Any]


def record(labels: list[int], right: int, *, draws: list[list[int]] | None = None) -> Record:
    """A part in which every single head gets the first `right` clips and misses the rest by 1.

    Curves: first number of own clips with the given draws (how many right in each), second with
    one draw, all right.
    """

    def chosen(good: int) -> list[int]:
        return [label if i < good else (label + 1) % 8 for i, label in enumerate(labels)]

    curve = [[chosen(good) for good in (draws or [[right]])[0]], [list(labels)]]
    return {
        "labels": labels,
        "universal": chosen(right),
        "universal_raw": chosen(0),
        "pooled": list(labels),
        "personal": curve,
        "local_only": curve,
        "resting_stream": [chosen(0), chosen(len(labels))],
    }


def test_one_users_figures() -> None:
    parts = [record([0, 1, 2, 3], 3, draws=[[1, 3]])]
    found = user_figures(parts, 2, accuracy)
    assert found["universal"] == 0.75
    assert found["universal_raw"] == 0.0
    assert found["pooled"] == 1.0
    assert found["personal"] == [0.5, 1.0]
    assert found["local_only"] == [0.5, 1.0]
    assert found["resting_stream"] == 0.5


def test_parts_are_joined_clip_by_clip_not_averaged() -> None:
    parts = [record([0] * 6, 6), record([1, 1], 0)]
    assert user_figures(parts, 2, accuracy)["universal"] == 0.75
    assert user_figures(parts, 2, macro_recall)["universal"] == 0.5


def test_a_part_with_one_draw_goes_with_every_draw_of_the_other() -> None:
    parts = [record([0, 1], 0, draws=[[0, 1, 2]]), record([2, 3], 1)]
    assert user_figures(parts, 2, accuracy)["personal"][0] == pytest.approx(0.5)


def by_user() -> dict[str, list[Record]]:
    return {
        "anna": [record([0, 1, 2, 3], 3, draws=[[1, 3]])],
        "ben": [record([0, 1, 2, 3], 1, draws=[[2, 2]])],
        "cem": [record([0, 0, 1, 1], 2, draws=[[2, 2]])],
    }


def test_the_summary() -> None:
    found = summarise(by_user(), [1, 2], seed=0)
    assert found["accuracy"]["own_clips"] == [1, 2]
    assert found["accuracy"]["universal"] == pytest.approx(0.5)
    assert found["accuracy"]["personal"] == pytest.approx([0.5, 1.0])
    assert found["uar"]["universal"] == pytest.approx(0.5)
    assert found["spread"]["universal"] == {"worst": 0.25, "median": 0.5, "best": 0.75}
    assert found["spread"]["personal"]["worst"] == [0.5, 1.0]
    assert found["users_harmed"] == [1, 0]
    assert found["resting_stream"] == {"universal": 0.5, "universal_raw": 0.0}
    assert [user["user"] for user in found["users"]] == ["anna", "ben", "cem"]
    assert [user["clips"] for user in found["users"]] == [4, 4, 4]
    assert "resting_stream" not in found["users"][0]


def test_every_head_has_figures_and_intervals_around_them() -> None:
    found = summarise(by_user(), [1, 2], seed=0)
    for name in SINGLE:
        low, high = found["intervals"][name]
        assert low <= found["accuracy"][name] <= high
    for name in CURVES:
        for figure, (low, high) in zip(
            found["accuracy"][name], found["intervals"][name], strict=True
        ):
            assert low - 1e-12 <= figure <= high + 1e-12


def with_confidence(part: Record, share: float) -> Record:
    """The part with one confidence for every choice, and a peer that is always right."""
    every = [share] * len(part["labels"])
    names = ("personal", "local_only")
    sure = {name: [[every for _ in draws] for draws in part[name]] for name in names}
    peer = [[list(part["labels"])], [list(part["labels"])]]
    return {
        **part,
        "fine_tune": peer,
        "confidence": {"universal": every, **sure, "fine_tune": [[every], [every]]},
        "personal_in_use": [[True, False], [True]],
    }


def test_calibration_and_the_head_in_use_are_told_where_they_were_measured() -> None:
    people = {"anna": [with_confidence(record([0, 1, 2, 3], 3, draws=[[1, 3]]), 0.75)]}
    found = summarise(people, [1, 2], seed=0)
    errors = found["calibration_error"]
    assert errors["bins"] == 15
    assert errors["universal"] == pytest.approx(0.0)
    assert errors["personal"] == pytest.approx([0.25, 0.25])
    assert found["personal_in_use"] == [0.5, 1.0]
    assert "calibration_error" not in summarise(by_user(), [1, 2], seed=0)


def test_peers_stand_beside_the_curves() -> None:
    people = {"anna": [with_confidence(record([0, 1], 1), 0.5)]}
    found = summarise(people, [1, 2], seed=0)
    for place in ("accuracy", "uar", "intervals", "spread", "calibration_error"):
        assert "fine_tune" in found[place]
    assert found["accuracy"]["fine_tune"] == [1.0, 1.0]
    assert "fine_tune" not in summarise(by_user(), [1, 2], seed=0)["accuracy"]


def test_users_weigh_the_same_however_many_clips_they_have() -> None:
    people = {"many": [record([0] * 90, 90)], "few": [record([0] * 2, 0)]}
    assert summarise(people, [1, 2], seed=0)["accuracy"]["universal"] == 0.5


def test_the_summary_is_repeated_and_is_json() -> None:
    one, two = (summarise(by_user(), [1, 2], seed=3) for _ in range(2))
    assert json.dumps(one, allow_nan=False) == json.dumps(two, allow_nan=False)


def test_a_user_who_is_just_as_good_is_not_harmed() -> None:
    people = {"anna": [record([0, 1, 2], 1, draws=[[1, 1, 1]])]}
    assert summarise(people, [1, 2], seed=0)["users_harmed"] == [0, 0]


def test_results_are_written(tmp_path: Path) -> None:
    save_results(tmp_path / "a" / "b", {"seed": 1})
    path = tmp_path / "a" / "b" / "results.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {"seed": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    save_results(tmp_path / "a" / "b", {"seed": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"seed": 2}


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "more"):
        with pytest.raises(UsageError, match=r"file.*: results can't be written there"):
            save_results(folder, {})

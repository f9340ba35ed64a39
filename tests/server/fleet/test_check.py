"""Heads tested on the operator's clips: right figures, a user's own scale from other clips only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.clips import ClipSet, make_clip_set
from common.errors import UsageError, WorkError
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead, initial_head
from server.authority.authority import Authority
from server.fleet.check import (
    ABOUT,
    CheckTable,
    accuracy_by_round,
    check_fits,
    check_table,
    checked,
    chosen_by,
    halves,
    keep_table,
    load_table,
    release_metrics,
    remove_table,
)
from server.fleet.dashboard import page
from server.fleet.status import fleet_status
from server.registry import Publication
from tests.server.fleet.statuses import release, status

SPECIFICATION = HeadSpecification(kind="logistic", dimension=8, features="made-up/1")
DIMENSION = 8


def clips_of(users: dict[str, list[tuple[int, int]]]) -> ClipSet:
    """One frame per clip, 4 at the place of the expression that it shows.

    Args:
        users: (label, shown expression) of each clip.
    """
    told = [
        (f"{user}-{number}", user, label, 4 * np.eye(DIMENSION)[shown])
        for user, pairs in users.items()
        for number, (label, shown) in enumerate(pairs)
    ]
    names, owners, labels, features = zip(*told, strict=True)
    return make_clip_set(names, owners, labels, features)


def reader() -> UniversalHead:
    """Says the expression whose place is highest, whatever the branch."""
    blank = initial_head(SPECIFICATION, seed=0)
    arrays = dict(blank.arrays)
    for branch in ("population", "user"):
        arrays[f"{branch}.weight"] = np.eye(8, DIMENSION, dtype=np.float32)
    arrays["reference.spread"] = np.ones(DIMENSION, dtype=np.float32)
    return UniversalHead(SPECIFICATION, arrays)


def table_of(clips: ClipSet) -> CheckTable:
    return check_table(clips, features="made-up/1", source="made-up.csv", synthetic=True)


EIGHT = [(label, label) for label in range(8)]
"""A user whose clips show what they are labelled with."""
WRONG = [(0, 0), (1, 2), (2, 2), (3, 2)]


def test_figures_are_those_counted_by_hand() -> None:
    table = table_of(clips_of({"ann": EIGHT + EIGHT, "bob": WRONG * 2, "cy": EIGHT * 2}))
    found = checked(reader(), table)
    # 16 + 4 + 16 right of 40; labels 1 and 3 are wrong for bob in 2 of 6 clips each.
    assert found["accuracy"] == pytest.approx(36 / 40)
    assert found["macro_recall"] == pytest.approx((6 + 2 * 4 / 6) / 8)
    spread = (found["worst_user"], found["median_user"], found["best_user"])
    assert spread == (0.5, 1.0, 1.0)
    assert (found["test_clips"], found["test_users"]) == (40.0, 3.0)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(("logistic", "single-attention")))
def test_a_clip_is_tested_without_looking_at_its_own_half(seed: int, kind: str) -> None:
    """Changing a user's other clips of the same half can't change what is chosen for a clip."""
    draw = np.random.default_rng(seed)
    specification = replace(SPECIFICATION, kind=kind)
    head = initial_head(specification, seed=1)
    arrays = {
        name: draw.normal(size=array.shape).astype(np.float32) + (name == "reference.spread") * 3
        for name, array in head.arrays.items()
    }
    head = UniversalHead(specification, {n: np.asarray(a, np.float32) for n, a in arrays.items()})
    clips = make_clip_set(
        [f"c{n}" for n in range(12)],
        [f"u{n % 2}" for n in range(12)],
        draw.integers(0, 8, 12),
        [draw.normal(size=(3, DIMENSION)) for _ in range(12)],
    )
    before, half = chosen_by(head, clips), halves(clips)
    asked = int(draw.integers(12))
    same = np.flatnonzero((half == half[asked]) & (np.arange(12) != asked))
    frames = clips.frames.copy().reshape(12, 3, DIMENSION)
    frames[same] = draw.normal(size=frames[same].shape) * 50
    after = chosen_by(head, replace(clips, frames=frames.reshape(36, DIMENSION)))
    assert after[asked] == before[asked]


def test_halves_share_each_users_expressions() -> None:
    half = halves(clips_of({"ann": EIGHT + EIGHT, "bob": EIGHT + EIGHT}))
    labels = np.array([label for label, _ in EIGHT * 4])
    for user in (slice(0, 16), slice(16, 32)):
        for number in (0, 1):
            assert sorted(labels[user][half[user] == number]) == list(range(8))


def test_a_user_with_one_clip_is_met_for_the_first_time() -> None:
    found = checked(reader(), table_of(clips_of({"ann": [(3, 3)]})))
    assert (found["accuracy"], found["test_users"]) == (1.0, 1.0)


def test_a_table_of_another_backbone_is_refused() -> None:
    table = table_of(clips_of({"ann": EIGHT}))
    check_fits(table, SPECIFICATION)
    pooled = CheckTable(table.clips, replace(table.about, features="made-up/1/max"))
    check_fits(pooled, SPECIFICATION)
    other = CheckTable(table.clips, replace(table.about, features="made-up/2"))
    with pytest.raises(UsageError, match=r"8 numbers of made-up/2, the fleet's head reads 8 of"):
        check_fits(other, SPECIFICATION)
    with pytest.raises(UsageError, match="reads 8 of"):
        check_fits(pooled, replace(SPECIFICATION, kind="single-attention"))
    with pytest.raises(UsageError, match="does not tell apart"):
        check_fits(table, replace(SPECIFICATION, classes=4))


def test_a_table_is_kept_and_removed(tmp_path: Path) -> None:
    table = table_of(clips_of({"ann": EIGHT}))
    assert load_table(tmp_path) is None
    assert release_metrics(tmp_path, reader()) == {}
    keep_table(tmp_path, table)
    found = load_table(tmp_path)
    assert found is not None
    assert found.about == table.about
    assert np.array_equal(found.clips.frames, table.clips.frames)
    assert release_metrics(tmp_path, reader()) == checked(reader(), table)
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    assert remove_table(tmp_path)
    assert not remove_table(tmp_path)


def test_a_damaged_table_is_told_of_and_stops_no_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_table(tmp_path, table_of(clips_of({"ann": EIGHT})))
    (tmp_path / ABOUT).write_text("{")
    with pytest.raises(WorkError, match="name the table anew"):
        load_table(tmp_path)
    assert release_metrics(tmp_path, reader()) == {}
    assert "the release is not tested" in capsys.readouterr().out


def test_an_empty_table_is_refused() -> None:
    empty = clips_of({"ann": EIGHT}).select([])
    with pytest.raises(UsageError, match="no clip to test heads on"):
        table_of(empty)


def test_a_release_brings_its_figures_to_status_and_dashboard(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    authority = Authority.create(root, address="localhost:8443")
    folder = root / "federation"
    keep_table(folder, table_of(clips_of({"ann": EIGHT * 2, "bob": WRONG * 2})))
    blank = initial_head(SPECIFICATION, seed=0)
    for number, head in enumerate((blank, reader()), start=1):
        metrics = release_metrics(folder, head)
        authority.publish(
            Publication(
                specification=SPECIFICATION, arrays=head.arrays, round=number, metrics=metrics
            )
        )
    now = fleet_status(root)
    assert [figures["round"] for figures in now.accuracy] == [1, 2]
    assert now.accuracy[1]["accuracy"] == pytest.approx(20 / 24)
    assert now.to_json()["accuracy"][1]["worst_user"] == 0.5
    told = page(now, datetime(2026, 1, 2, tzinfo=UTC))
    assert "2: 83.3%; users from 50% to 100%, the middle one 75%" in told
    assert "synthetic (drawn) test clips: 24 of 2 users (made-up.csv)" in told
    assert "Devices&#x27; own figures stay on the devices." in told


def test_of_a_round_published_twice_the_newest_counts() -> None:
    figures = dict.fromkeys(("macro_recall", "worst_user", "median_user", "best_user"), 0.5)
    again = {**release(2, accuracy=0.7, **figures), "round": 1}
    untested = release(3, uar=0.5)
    found = accuracy_by_round([release(1, accuracy=0.6, **figures), again, untested])
    assert [(each["round"], each["accuracy"]) for each in found] == [(1, 0.7)]
    assert status(releases=(again,)).accuracy == found

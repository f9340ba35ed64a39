"""Splits never leak: no take on both sides, no test user in the own federation."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.clips import ClipSet
from common.errors import UsageError
from common.ravdess import AUDIO_VIDEO, VIDEO_ONLY, ClipName, parse_clip_name
from simulations.data.table import read_table
from simulations.protocols import (
    PAPER,
    PROTOCOLS,
    PUBLISHED_FOLDS,
    Protocol,
    folds_of_others,
    make_protocol,
    one_file_per_take,
    paper_protocol,
    twinned,
)
from tests.simulations.people import clips_named, own_clips, ravdess_names
from tests.support import shared_data

ACTORS = (1, 2, 3, 4, 5, 7, 9, 22)


def check_no_leak(protocol: Protocol, clips: ClipSet) -> None:
    """What holds for every protocol over any clips."""
    owner = dict(zip(clips.names, clips.users, strict=True))
    for one, two in combinations(protocol.held_out.values(), 2):
        assert not set(one) & set(two)
    assert sorted(u for users in protocol.held_out.values() for u in users) == list(
        clips.user_names()
    )
    for users in protocol.held_out.values():
        assert users
        assert set(users) < set(clips.user_names())
    assert {split.user for split in protocol.splits} == set(clips.user_names())
    for split in protocol.splits:
        assert split.user in protocol.held_out[split.federation]
        assert split.adaptation
        assert split.test
        assert not set(split.adaptation) & set(split.test)
        assert {owner[name] for name in (*split.adaptation, *split.test)} == {split.user}


def check_takes_apart(protocol: Protocol) -> None:
    for split in protocol.splits:
        adaptation, test = (
            {parse_clip_name(name).take for name in side} for side in (split.adaptation, split.test)
        )
        assert not adaptation & test
        assert {take.repetition for take in adaptation}.isdisjoint(t.repetition for t in test)


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(PROTOCOLS),
    actors=st.sets(st.integers(1, 24), min_size=2, max_size=9),
    folds=st.integers(2, 12),
    modalities=st.sampled_from([(AUDIO_VIDEO,), (VIDEO_ONLY,), (1, 2), (2, 1)]),
)
def test_no_protocol_leaks(
    name: str, actors: set[int], folds: int, modalities: Sequence[int]
) -> None:
    names = ravdess_names(sorted(actors), modalities=modalities)
    clips = clips_named(names)
    kept, left_out = one_file_per_take(clips, names)
    assert len(kept) + len(left_out) == len(clips)
    used, used_names = clips.select(kept), [names[i] for i in kept]
    if name == "folds" and sum(bool(actors & set(group)) for group in PUBLISHED_FOLDS) < 2:
        with pytest.raises(UsageError, match="2 published folds"):
            make_protocol(name, used, used_names, folds=folds)
        return
    protocol = make_protocol(name, used, used_names, folds=folds)
    check_no_leak(protocol, used)
    check_takes_apart(protocol)
    if name == "by-take":
        assert len(protocol.held_out) == min(folds, len(actors))


def test_twins_are_left_out_with_the_reason() -> None:
    names = ravdess_names([1, 2], modalities=(AUDIO_VIDEO, VIDEO_ONLY))
    clips = clips_named(names)
    kept, left_out = one_file_per_take(clips, names)
    assert len({names[index].take for index in kept}) == len(kept) == len(clips) // 2
    assert all(names[index].modality == AUDIO_VIDEO for index in kept)
    for twin, reason in left_out:
        assert reason == f"same take as 01{twin[2:]}"


def test_the_file_that_comes_first_stays() -> None:
    names = [parse_clip_name(f"{m}-01-03-01-01-01-01") for m in ("02", "01", "03")]
    kept, left_out = one_file_per_take(clips_named(names), names)
    assert kept == (0,)
    assert [clip for clip, _ in left_out] == [str(names[1]), str(names[2])]


def test_without_ravdess_names_every_clip_is_used() -> None:
    assert one_file_per_take(own_clips("ab"), None) == (tuple(range(24)), ())


def test_by_take_adapts_on_repetition_1_and_tests_on_2() -> None:
    names = ravdess_names(ACTORS)
    protocol = make_protocol("by-take", clips_named(names), names, folds=4)
    assert [len(users) for users in protocol.held_out.values()] == [2, 2, 2, 2]
    assert protocol.held_out["fold-1"] == ("actor-01", "actor-02")
    assert len(protocol.splits) == len(ACTORS)
    for split in protocol.splits:
        assert {parse_clip_name(name).repetition for name in split.adaptation} == {1}
        assert {parse_clip_name(name).repetition for name in split.test} == {2}
        assert len(split.adaptation) == len(split.test) == 8


def test_folds_tests_every_clip_once() -> None:
    names = ravdess_names(range(1, 25))
    clips = clips_named(names)
    protocol = make_protocol("folds", clips, names, folds=6)
    tested = [name for split in protocol.splits for name in split.test]
    assert sorted(tested) == sorted(clips.names)
    assert [len(users) for users in protocol.held_out.values()] == [5, 5, 5, 5, 4]


@pytest.mark.parametrize("folds", [8, 9, 10_000])
def test_more_folds_than_users_leave_one_user_out(folds: int) -> None:
    names = ravdess_names(ACTORS)
    protocol = make_protocol("by-take", clips_named(names), names, folds=folds)
    assert [len(users) for users in protocol.held_out.values()] == [1] * len(ACTORS)


def test_sizes_of_folds_differ_by_one_at_most() -> None:
    names = ravdess_names(range(1, 24))
    protocol = make_protocol("by-take", clips_named(names), names, folds=6)
    assert sorted(len(users) for users in protocol.held_out.values()) == [3] + [4] * 5


def test_the_published_folds_hold_each_actor_once() -> None:
    assert sorted(actor for group in PUBLISHED_FOLDS for actor in group) == list(range(1, 25))


def test_the_published_folds_are_those_of_the_real_table() -> None:
    data = shared_data()
    if data is None:
        pytest.skip("needs the real table ../shared/data/ravdess-openface-au.csv")
    path = data / "ravdess-openface-au.csv"
    with path.open(newline="", encoding="utf-8") as file:
        folds = {row["clip"]: int(row["fold"]) for row in csv.DictReader(file)}
    table = read_table(path)
    kept, left_out = one_file_per_take(table.clips, table.ravdess)
    assert (len(kept), left_out) == (1440, ())
    protocol = make_protocol("folds", table.clips, table.ravdess, folds=6)
    check_no_leak(protocol, table.clips)
    check_takes_apart(protocol)
    for split in protocol.splits:
        for name in (*split.adaptation, *split.test):
            assert split.federation == f"fold-{folds[name] + 1}"


@pytest.mark.parametrize("each", [2, 3, 5])
def test_clips_without_ravdess_names_are_split_alternately(each: int) -> None:
    clips = own_clips("abc", each=each)
    protocol = make_protocol("by-take", clips, None, folds=6)
    check_no_leak(protocol, clips)
    for split in protocol.splits:
        assert all(int(name[-1]) % 2 == 0 for name in split.adaptation)
        assert all(int(name[-1]) % 2 == 1 for name in split.test)
        assert len(split.adaptation) + len(split.test) == 3 * each


def test_the_split_does_not_depend_on_the_order_of_the_table() -> None:
    clips = own_clips("abc")
    turned = clips.select(range(len(clips))[::-1])
    one, two = (make_protocol("by-take", c, None, folds=2) for c in (clips, turned))
    assert one.held_out == two.held_out
    for split, other in zip(one.splits, two.splits, strict=True):
        assert set(split.adaptation) == set(other.adaptation)
        assert set(split.test) == set(other.test)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(UsageError, match="protocol is 'random', expected one of by-take, folds"):
        make_protocol("random", own_clips("ab"), None, folds=2)


def test_the_published_folds_need_ravdess_names() -> None:
    with pytest.raises(UsageError, match="use RAVDESS names or 'by-take'"):
        make_protocol("folds", own_clips("ab"), None, folds=2)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_user_without_a_second_repetition_is_named(name: str) -> None:
    names: list[ClipName] = [
        n for n in ravdess_names([1, 2]) if not (n.actor == 2 and n.repetition == 2)
    ]
    with pytest.raises(UsageError, match=r"user actor-02 has 8 clips to adapt on and 0 to test"):
        make_protocol(name, clips_named(names), names, folds=2)


BOTH = (AUDIO_VIDEO, VIDEO_ONLY)


@settings(deadline=None, max_examples=25)
@given(
    users=st.sets(st.integers(1, 5), min_size=1),
    others=st.sets(st.integers(6, 24), min_size=1, max_size=4),
    modalities=st.sampled_from([BOTH, (AUDIO_VIDEO,)]),
    seed=st.integers(0, 100),
)
def test_the_papers_protocol_is_as_published(
    users: set[int], others: set[int], modalities: Sequence[int], seed: int
) -> None:
    names = ravdess_names(sorted(users | others), modalities=modalities)
    clips = clips_named(names)
    protocol = paper_protocol(clips, names, seed=seed)
    assert protocol.held_out == {PAPER: tuple(f"actor-{actor:02d}" for actor in sorted(users))}
    assert [split.user for split in protocol.splits] == list(protocol.held_out[PAPER])
    takes = {str(name): name.take for name in names}
    for split in protocol.splits:
        own = clips.of_user(split.user).names
        assert sorted((*split.adaptation, *split.test)) == sorted(own)
        assert len(split.test) == -(-len(own) // 5)
        twins = twinned(split, takes)
        assert len(twins) == len(split.test)
        assert not any(twins) or len(modalities) == 2
        for name, twin in zip(split.test, twins, strict=True):
            other = f"{3 - int(name[:2]):02d}{name[2:]}"
            assert twin == (other in split.adaptation)
    assert protocol == paper_protocol(clips, names, seed=seed)


def test_the_papers_protocol_leaks_and_another_seed_splits_otherwise() -> None:
    names = ravdess_names(range(1, 8), expressions=8, modalities=BOTH)
    clips = clips_named(names)
    takes = {str(name): name.take for name in names}
    one, two = (paper_protocol(clips, names, seed=seed) for seed in (0, 1))
    twins = [twin for split in one.splits for twin in twinned(split, takes)]
    assert 0.6 < sum(twins) / len(twins) < 0.95
    assert one.splits != two.splits


def test_settings_for_the_papers_protocol_are_chosen_on_other_actors() -> None:
    names = ravdess_names(range(1, 12), modalities=BOTH)
    clips = clips_named(names)
    paper = paper_protocol(clips, names, seed=0)
    whole = folds_of_others(paper, clips, names, folds=3)
    check_no_leak(whole, clips)
    assert set(whole.held_out) == {PAPER, "fold-1", "fold-2", "fold-3"}
    assert whole.splits[: len(paper.splits)] == paper.splits
    check_takes_apart(Protocol("others", {}, whole.splits[len(paper.splits) :]))


@pytest.mark.parametrize(
    ("actors", "found"), [([1, 2], "2 of the former and 0"), ([7, 8], "0 of the former and 2")]
)
def test_the_papers_protocol_needs_its_users_and_others(actors: list[int], found: str) -> None:
    names = ravdess_names(actors)
    with pytest.raises(UsageError, match=found):
        paper_protocol(clips_named(names), names, seed=0)


def test_the_papers_protocol_needs_ravdess_names_and_two_clips() -> None:
    with pytest.raises(UsageError, match="use RAVDESS names or 'by-take'"):
        paper_protocol(own_clips("ab"), None, seed=0)
    names = ravdess_names([1, 9])[15:]
    with pytest.raises(UsageError, match="user actor-01 has 1 clip; protocol 'paper' needs"):
        paper_protocol(clips_named(names), names, seed=0)

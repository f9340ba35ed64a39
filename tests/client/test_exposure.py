"""The exposure budget: a slow count as the oracle, and that it can't be got around."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.exposure import (
    FLEET_LIMITS,
    NO_LIMITS,
    Asked,
    Exposure,
    ExposureLimits,
    exposure,
    would_exceed,
)
from client.gate import let_through
from client.ledger import Ledger
from common.errors import UsageError
from common.heads.leak import combinations
from common.heads.specification import KINDS, HeadSpecification
from common.privacy.gaussian import epsilon_of
from common.wire import (
    NPY_KIND,
    Expected,
    WireArray,
    WireReply,
    encode_array,
    public_numbers,
)
from tests.client.vault.support import new_vault
from tests.common.updates import update_for

LINEAR = [
    {"name": f"{branch}.{name}", "shape": shape}
    for branch in ("population", "user")
    for name, shape in (("weight", [8, 1280]), ("bias", [8]))
]
HEAD = Asked(stage="head", combinations=7)


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """A ledger's entry of one head update of a linear head of 8 classes."""
    return {
        "run": 1,
        "federation": "all",
        "stage": "head",
        "round": number,
        "clips": 83,
        "arrays": LINEAR,
        "sha256": f"{number:064x}",
        "clip_norm": None,
        "noise": None,
        **changes,
    }


def noised(number: int, multiplier: float, **more: Any) -> dict[str, Any]:
    return entry(number, noise={"multiplier": multiplier, "seeded": False, **more})


def summed(number: int, stay: int) -> dict[str, Any]:
    return entry(number, secure_sum={"stay": stay, "members": stay + 3})


def distinct(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each entry once, the slow way."""
    return [each for number, each in enumerate(entries) if each not in entries[:number]]


ENTRIES = st.lists(
    st.one_of(
        st.builds(entry, st.integers(0, 30)),
        st.builds(noised, st.integers(31, 60), st.floats(0.5, 20)),
        st.builds(summed, st.integers(61, 90), st.integers(2, 30)),
        st.builds(lambda n: entry(n, stage="reference"), st.integers(91, 95)),
    ),
    max_size=12,
)
ASKED = st.builds(
    Asked,
    stage=st.sampled_from(["reference", "head", "evaluate"]),
    combinations=st.integers(1, 50),
    stay=st.sampled_from([0, 5, 17]),
    noise=st.sampled_from([0.0, 0.5, 4.84]),
)
LIMITS = st.builds(
    ExposureLimits,
    share=st.none() | st.floats(0, 2),
    epsilon=st.none() | st.floats(0, 20),
)


@pytest.mark.parametrize(
    ("clips", "rounds"), [(83, 2), (104, 3), (20, 0), (28, 0), (29, 1), (1000, 35)]
)
def test_the_rule_of_a_quarter(clips: int, rounds: int) -> None:
    """It takes part as long as 7 times the number of rounds is below a quarter of the clips."""
    taken: list[dict[str, Any]] = []
    while would_exceed(taken, HEAD, clips, FLEET_LIMITS).take_part:
        taken.append(entry(len(taken)))
    assert len(taken) == rounds == math.ceil(clips / 28) - 1


@given(entries=ENTRIES, clips=st.integers(1, 300))
def test_it_counts_what_a_slow_count_finds(entries: list[dict[str, Any]], clips: int) -> None:
    found = exposure(entries, clips, FLEET_LIMITS)
    different = distinct(entries)
    heads = [each for each in different if each["stage"] == "head"]
    bare = [
        each
        for each in heads
        if each["noise"] is None and each.get("secure_sum", {"stay": 0})["stay"] < 10
    ]
    assert found.rounds == len(heads)
    assert found.references == len(different) - len(heads)
    assert found.revealed == min(7 * len(bare), clips)
    spent = math.sqrt(sum(e["noise"]["multiplier"] ** -2 for e in heads if e["noise"]))
    assert found.epsilon == pytest.approx(epsilon_of(1e-5, spent))


@given(entries=ENTRIES, asked=ASKED, clips=st.integers(0, 300), limits=LIMITS, data=st.data())
def test_order_and_repetition_do_not_matter(
    entries: list[dict[str, Any]],
    asked: Asked,
    clips: int,
    limits: ExposureLimits,
    data: st.DataObject,
) -> None:
    unique = distinct(entries)
    mixed = data.draw(st.permutations([*unique, *unique]))
    one = would_exceed(unique, asked, clips, limits)
    other = would_exceed(mixed, asked, clips, limits)
    assert one.take_part == other.take_part
    assert replace(one.after, epsilon=0) == replace(other.after, epsilon=0)


@given(entries=ENTRIES, more=ENTRIES, asked=ASKED, clips=st.integers(1, 300))
def test_more_releases_never_turn_no_into_yes(
    entries: list[dict[str, Any]], more: list[dict[str, Any]], asked: Asked, clips: int
) -> None:
    if would_exceed([*entries, *more], asked, clips, FLEET_LIMITS).take_part and not asked.stay:
        assert would_exceed(entries, asked, clips, FLEET_LIMITS).take_part


@given(entries=ENTRIES, asked=ASKED, clips=st.integers(0, 300))
def test_without_limits_it_takes_part_and_still_counts(
    entries: list[dict[str, Any]], asked: Asked, clips: int
) -> None:
    found = would_exceed(entries, asked, clips, NO_LIMITS)
    assert found.take_part
    leaves = asked.stage != "evaluate"
    before = exposure(entries, clips, NO_LIMITS)
    after = found.after
    assert (after.rounds + after.references) - (before.rounds + before.references) == leaves


@given(entries=ENTRIES, asked=ASKED, clips=st.integers(0, 300), limits=LIMITS)
def test_the_reason_is_one_sentence(
    entries: list[dict[str, Any]], asked: Asked, clips: int, limits: ExposureLimits
) -> None:
    found = would_exceed(entries, asked, clips, limits)
    assert found.reason.startswith("takes part: " if found.take_part else "declines this round: ")
    assert "\n" not in found.reason
    assert ". " not in found.reason


def test_a_refusal_names_the_figures() -> None:
    found = would_exceed([entry(1), entry(2)], HEAD, 83, FLEET_LIMITS)
    assert found.reason == (
        "declines this round: after it 21 exact mixtures of this device's 83 clips would have "
        "left, 25% of what tells them all; it has to stay below 25%; secure aggregation or noise "
        "would allow more rounds"
    )


def test_noise_counts_by_epsilon() -> None:
    """20 rounds at z = 2.68 cost 8.02, 19 less than 8."""
    taken = [noised(number, 2.68) for number in range(18)]
    asked = Asked(stage="head", combinations=7, noise=2.68)
    assert would_exceed(taken, asked, 83, FLEET_LIMITS).take_part
    found = would_exceed([*taken, noised(18, 2.68)], asked, 83, FLEET_LIMITS)
    assert not found.take_part
    assert "epsilon is 8.02 at delta 1e-05 over 20 round(s)" in found.reason


@pytest.mark.parametrize(
    "noise",
    [
        {"multiplier": 4.0},
        {"multiplier": 4.0, "seeded": True},
        {"multiplier": 0.0, "seeded": False},
        {"multiplier": math.nan, "seeded": False},
        {"multiplier": "4", "seeded": False},
        "loud",
    ],
)
def test_noise_that_is_none_counts_as_none(noise: object) -> None:
    assert exposure([entry(1, noise=noise)], 83, FLEET_LIMITS).revealed == 7


def test_hardly_any_noise_does_not_buy_a_round() -> None:
    asked = Asked(stage="head", combinations=7, noise=1e-6)
    assert not would_exceed([], asked, 10_000, FLEET_LIMITS).take_part


@pytest.mark.parametrize(("noise", "hidden"), [(1e-6, False), (0.99, False), (1.0, True)])
def test_hardly_any_noise_is_none_where_no_epsilon_limits_it(noise: float, hidden: bool) -> None:
    """Else any multiplier above 0 would lift the limit of mixtures."""
    limits = ExposureLimits(epsilon=None)
    asked = Asked(stage="head", combinations=7, noise=noise)
    assert would_exceed([], asked, 20, limits).take_part == hidden
    assert exposure([noised(1, noise)], 20, limits).revealed == 7 * (not hidden)
    assert would_exceed([], asked, 20, NO_LIMITS).take_part


@pytest.mark.parametrize(("stay", "counted"), [(3, 4.0 / math.sqrt(3)), (9, 4.0 / 3), (10, 4.0)])
def test_in_a_noised_sum_of_few_the_device_s_own_share_counts_alone(
    stay: int, counted: float
) -> None:
    """All others may be the server's, who take their shares of the noise off."""
    asked = Asked(stage="head", combinations=7, stay=stay, noise=4.0)
    told = noised(1, 4.0) | {"secure_sum": {"stay": stay, "members": stay + 1}}
    after = would_exceed([told], asked, 83, FLEET_LIMITS).after
    assert after.epsilon == pytest.approx(epsilon_of(1e-5, math.sqrt(2) / counted))
    assert after.noised == 2


def test_secure_sums_count_against_everybodys_clips() -> None:
    """7R against a quarter of 17 times 8 clips: 4 rounds, as the audit's rule for sums has it."""
    asked = Asked(stage="head", combinations=7, stay=17)
    taken: list[dict[str, Any]] = []
    while would_exceed(taken, asked, 8, FLEET_LIMITS).take_part:
        taken.append(summed(len(taken), 17))
    assert len(taken) == 4
    assert exposure(taken, 8, FLEET_LIMITS).revealed == 0


def test_a_sum_of_few_is_no_protection() -> None:
    asked = Asked(stage="head", combinations=7, stay=3)
    assert not would_exceed([], asked, 20, FLEET_LIMITS).take_part
    assert exposure([summed(1, 3)], 20, FLEET_LIMITS).revealed == 7


def test_a_masked_vectors_entry_says_what_it_can_not_show() -> None:
    masked = [{"name": "masked", "shape": [20496]}]
    told = entry(1, arrays=masked, secure_sum={"stay": 17}, combinations=7, own_clips=50, clips=1)
    found = exposure([told], 83, FLEET_LIMITS)
    assert (found.sum_combinations, found.most_clips, found.fewest_in_sums) == (7, 50, 17)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "No update of this device has left."),
        (
            [entry(1), entry(2)],
            "2 update(s) of up to 83 clips left this device; from those that left as they are 14 "
            "exact mixtures of its 83 clips can be known (17%).",
        ),
        (
            [summed(1, 17), noised(2, 4.84)],
            "2 update(s) of up to 83 clips left this device; none as it is; sums told 7 mixtures "
            "of all members' clips; 1 under noise cost epsilon 0.752.",
        ),
    ],
)
def test_the_owner_is_told_in_a_sentence(entries: list[dict[str, Any]], words: str) -> None:
    assert exposure(entries, 83, FLEET_LIMITS).in_words() == words


def test_an_update_that_was_summed_and_then_left_bare_counts_as_bare() -> None:
    bare = entry(1)
    both = [summed(1, 17), bare, bare]
    assert exposure(both, 83, FLEET_LIMITS).revealed == 7
    assert exposure(both, 83, FLEET_LIMITS).sum_combinations == 7


@pytest.mark.parametrize("arrays", [[], None, [{"name": "x"}], [{"name": "a.b", "shape": [3]}]])
def test_what_can_not_be_counted_is_taken_for_everything(arrays: object) -> None:
    assert exposure([entry(1, arrays=arrays)], 83, FLEET_LIMITS).revealed == 83


@pytest.mark.parametrize("kind", KINDS)
def test_entries_of_the_gate_are_understood(tmp_path: Path, kind: str) -> None:
    """The gate writes, another process counts: the same as the head's specification says."""
    spec = HeadSpecification(kind=kind, dimension=40, features="test", key_dimension=3)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for round_ in (1, 2, 2):
        sent(ledger, spec, "head", round_)
    sent(ledger, spec, "reference", 0)
    found = exposure(Ledger(tmp_path / "ledger.jsonl").entries(), 1000, FLEET_LIMITS)
    told = combinations(spec.branch_shapes())
    assert Asked.of("head", spec).combinations == told
    assert (found.rounds, found.references, found.most_clips) == (2, 1, 5)
    assert found.open_combinations == 2 * told


def test_a_vaults_ledger_counts_alike(tmp_path: Path) -> None:
    entries = [entry(1), noised(2, 4.84), summed(3, 17), entry(1)]
    vault, plain = new_vault(tmp_path), Ledger(tmp_path / "ledger.jsonl")
    for each in entries:
        vault.ledger.append(each)
        plain.append(each)
    found = exposure(vault.ledger.entries(), 83, FLEET_LIMITS)
    assert found == exposure(plain.entries(), 83, FLEET_LIMITS)
    assert found == exposure(entries, 83, FLEET_LIMITS)
    assert would_exceed(vault.ledger.entries(), HEAD, 83, FLEET_LIMITS).take_part


def sent(ledger: Ledger, spec: HeadSpecification, stage: str, round_: int) -> None:
    update = update_for(spec, stage, round=round_, seed=round_)
    arrays = {
        name: WireArray("float32", array.shape, NPY_KIND, encode_array(array))
        for name, array in update.arrays.items()
    }
    reply = WireReply(arrays, public_numbers(update), 0)
    expected = Expected(specification=spec, stage=stage, round=round_)
    let_through(ledger, reply, expected, {"run": 1, "federation": "all"}, 100)


@pytest.mark.parametrize(
    "changes",
    [
        {"share": -0.1},
        {"share": math.nan},
        {"share": True},
        {"epsilon": "8"},
        {"delta": 0},
        {"fewest_in_sum": 1},
    ],
)
def test_limits_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ExposureLimits(**changes)


def test_a_device_without_clips() -> None:
    found = exposure([], 0, FLEET_LIMITS)
    assert isinstance(found, Exposure)
    assert (found.share, found.share_of_sums, found.epsilon) == (0, 0, 0)

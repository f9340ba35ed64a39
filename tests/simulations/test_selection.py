"""Settings are chosen on training users only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from simulations import selection
from simulations.protocols import Protocol, make_protocol
from simulations.selection import L2_CANDIDATES, PERSONAL_CANDIDATES, Choice, choose, unchosen
from tests.simulations.people import DIMENSION, clips_named, ravdess_names

NAMES = ravdess_names([1, 2, 3, 4, 5], expressions=3)
SPECIFICATION = HeadSpecification(kind="logistic", dimension=DIMENSION, features="t")
Scores = dict[str, Sequence[Any]]


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same procedure over fewer candidates."""
    monkeypatch.setattr(selection, "L2_CANDIDATES", (0.3, 0.1))
    monkeypatch.setattr(selection, "PERSONAL_CANDIDATES", PERSONAL_CANDIDATES[::5])
    monkeypatch.setattr(selection, "OWN_CLIPS", (1,))


def people() -> ClipSet:
    return clips_named(NAMES, noise=1.5)


def protocol_of(clips: ClipSet, folds: int = 3) -> Protocol:
    return make_protocol("by-take", clips, NAMES, folds=folds)


def spoilt(clips: ClipSet, users: Sequence[str]) -> ClipSet:
    """Other features and other labels for some users."""
    random = np.random.default_rng(9)
    frames, labels = clips.frames.copy(), clips.labels.copy()
    for index, user in enumerate(clips.users):
        if user in users:
            frames[index] = 50 * random.normal(size=DIMENSION)
            labels[index] = (labels[index] + 1 + index % 2) % 8
    return dataclasses.replace(clips, frames=frames, labels=labels)


def scores(clips: ClipSet, monkeypatch: pytest.MonkeyPatch) -> Scores:
    """All validation scores that each federation's choice is made from."""
    monkeypatch.setattr(selection, "_best", tuple)
    found: Any = choose(SPECIFICATION, clips, protocol_of(clips), l2=0.0, seed=0)
    return dict(found)


@pytest.mark.usefixtures("few_candidates")
def test_test_users_never_influence_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a single validation score, let alone the choice made from them."""
    clips = people()
    plain = scores(clips, monkeypatch)
    protocol = protocol_of(clips)
    for federation, users in protocol.held_out.items():
        changed = scores(spoilt(clips, users), monkeypatch)
        assert changed[federation] == plain[federation]
        others = [name for name in protocol.held_out if name != federation]
        assert any(changed[name] != plain[name] for name in others)


@pytest.mark.usefixtures("few_candidates")
def test_the_choice_itself_stays_too() -> None:
    clips = people()
    plain = choose(SPECIFICATION, clips, protocol_of(clips), l2=0.0, seed=0)
    users = protocol_of(clips).held_out["fold-1"]
    changed = choose(SPECIFICATION, spoilt(clips, users), protocol_of(clips), l2=0.0, seed=0)
    assert changed["fold-1"] == plain["fold-1"]


@pytest.mark.usefixtures("few_candidates")
def test_a_choice_is_repeated() -> None:
    clips = people()
    one, two = (choose(SPECIFICATION, clips, protocol_of(clips), l2=0.0, seed=4) for _ in range(2))
    assert one == two


def test_every_choice_is_a_candidate() -> None:
    clips = people()
    told: list[tuple[int, int]] = []
    found = choose(
        SPECIFICATION,
        clips,
        protocol_of(clips),
        l2=0.0,
        seed=0,
        progress=lambda done, total: told.append((done, total)),
    )
    assert sorted(found) == ["fold-1", "fold-2", "fold-3"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    priors = {(prior.strength, prior.scale) for prior in PERSONAL_CANDIDATES}
    for choice in found.values():
        assert choice.l2 in L2_CANDIDATES
        assert (choice.strength, choice.scale) in priors
        assert len(choice.evidence) == len(PERSONAL_CANDIDATES)


@pytest.mark.usefixtures("few_candidates")
def test_a_given_l2_is_kept() -> None:
    clips = people()
    found = choose(SPECIFICATION, clips, protocol_of(clips), l2=0.2, seed=0)
    assert {choice.l2 for choice in found.values()} == {0.2}


@pytest.mark.parametrize(("l2", "expected"), [(0.0, 0.01), (0.2, 0.2)])
def test_two_federations_leave_nobody_to_choose_on(l2: float, expected: float) -> None:
    clips = people()
    found = choose(SPECIFICATION, clips, protocol_of(clips, 2), l2=l2, seed=0)
    assert set(found.values()) == {Choice(expected, 1.0, 1.0)}


def results(universal: list[float], personal: list[float]) -> Any:
    return selection._Validation(dict(zip(L2_CANDIDATES, universal, strict=True)), tuple(personal))


def of_candidates(**changes: float) -> list[float]:
    """An evidence of 0.5 for each candidate but those named by their number."""
    found = [0.5] * len(PERSONAL_CANDIDATES)
    for name, value in changes.items():
        found[int(name[1:])] = value
    return found


def test_candidates_stand_strongest_first() -> None:
    assert list(L2_CANDIDATES) == sorted(L2_CANDIDATES, reverse=True)
    priors = [(prior.strength, prior.scale) for prior in PERSONAL_CANDIDATES]
    assert priors == sorted(priors, reverse=True)


def test_ties_go_to_the_stronger_prior() -> None:
    found = selection._best([results([0.5] * 3, of_candidates())])
    assert (found.l2, found.strength, found.scale) == (0.03, math.inf, 1.0)
    later = selection._best([results([0.4, 0.6, 0.6], of_candidates(n4=0.7, n8=0.7))])
    prior = PERSONAL_CANDIDATES[4]
    assert (later.l2, later.strength, later.scale) == (0.01, prior.strength, prior.scale)


def test_a_difference_of_rounding_is_a_tie() -> None:
    near = results([0.5, 0.5 + 1e-13, 0.5], of_candidates(n5=0.5 + 1e-13))
    found = selection._best([near])
    assert (found.l2, found.strength) == (0.03, math.inf)


def test_the_mean_over_validation_users_decides_and_is_passed_on() -> None:
    one = results([0.45, 0.5, 0.5], of_candidates(n0=0.9))
    two = results([0.44, 0.5, 0.5], of_candidates(n0=0.0, n7=0.6))
    found = selection._best([one, two])
    assert found.l2 == 0.01
    assert found.strength == PERSONAL_CANDIDATES[7].strength
    np.testing.assert_allclose(found.evidence, of_candidates(n0=0.45, n7=0.55))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[-0.80, -0.60, -0.50], [-0.80, -0.50, -0.50]], 0.01),  # short by 0.05, error 0.05
        ([[-0.80, -0.55, -0.50], [-0.80, -0.56, -0.50]], 0.003),  # short by 0.055, error 0.005
        ([[-0.10, -0.90, -0.50], [-0.95, -0.30, -0.50]], 0.03),  # short by 0.025, error 0.4
    ],
)
def test_the_strongest_within_a_standard_error_is_taken(
    scores: list[list[float]], expected: float
) -> None:
    found = [dict(zip(L2_CANDIDATES, row, strict=True)) for row in scores]
    assert selection._strongest_near_best(found) == expected


def test_without_a_choice_all_get_the_same_and_nothing_is_known_of_personal_heads() -> None:
    found = unchosen(protocol_of(people()), 0.02)
    assert found == {name: Choice(0.02, 1.0, 1.0) for name in ("fold-1", "fold-2", "fold-3")}

"""Settings are chosen on training users only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from simulations import selection
from simulations.protocols import Protocol, make_protocol
from simulations.selection import L2_CANDIDATES, PERSONAL_CANDIDATES, Choice, choose
from tests.simulations.people import DIMENSION, clips_named, ravdess_names

NAMES = ravdess_names([1, 2, 3, 4, 5], expressions=3)
SPECIFICATION = HeadSpecification(kind="logistic", dimension=DIMENSION, features="t")
Scores = dict[str, Sequence[Any]]


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same procedure over fewer candidates."""
    monkeypatch.setattr(selection, "L2_CANDIDATES", (0.3, 0.1))
    monkeypatch.setattr(selection, "PERSONAL_CANDIDATES", PERSONAL_CANDIDATES[::3])
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
    priors = [(prior.strength, prior.scale) for prior in PERSONAL_CANDIDATES]
    return selection._Validation(
        dict(zip(L2_CANDIDATES, universal, strict=True)), dict(zip(priors, personal, strict=True))
    )


def test_candidates_stand_strongest_first() -> None:
    assert list(L2_CANDIDATES) == sorted(L2_CANDIDATES, reverse=True)
    priors = [(prior.strength, prior.scale) for prior in PERSONAL_CANDIDATES]
    assert priors == sorted(priors, reverse=True)


def test_ties_go_to_the_stronger_prior() -> None:
    even = results([0.5] * 3, [0.5] * 6)
    assert selection._best([even]) == Choice(0.03, 2.0, 1.0)
    later = results([0.4, 0.6, 0.6], [0.1, 0.1, 0.7, 0.1, 0.7, 0.7])
    assert selection._best([later]) == Choice(0.01, 1.0, 1.0)


def test_a_difference_of_rounding_is_a_tie() -> None:
    near = results([0.5, 0.5 + 1e-13, 0.5], [0.3, 0.3, 0.3, 0.3, 0.3, 0.3 + 1e-13])
    assert selection._best([near]) == Choice(0.03, 2.0, 1.0)


def test_the_mean_over_validation_users_decides() -> None:
    one = results([0.9, 0.5, 0.5], [0.9, 0.5, 0.5, 0.5, 0.5, 0.5])
    two = results([0.0, 0.5, 0.5], [0.0, 0.5, 0.5, 0.5, 0.5, 0.6])
    assert selection._best([one, two]) == Choice(0.01, 0.5, 0.75)

"""What federations promise each by itself, and together to a user who was in several."""

from __future__ import annotations

from typing import Any

import pytest

from common.privacy.accountant import NO_NOISE, NoisyRelease, PrivacyState, compose, record, voided
from common.privacy.gaussian import epsilon_of
from simulations.privacy import composed
from simulations.report.facts import federation_words

FOLDS = {f"fold-{n}": (f"user-{n}",) for n in range(1, 4)}
USERS = [f"user-{n}" for n in range(1, 4)]
STATE = compose(PrivacyState(), NoisyRelease(multiplier=5.0), 4)
LEAK = {
    "combinations_per_round": 7,
    "exposure_limits": {"share": None},
    "accepted_leak": False,
    "projection": None,
}


def of_folds(**others: PrivacyState) -> dict[str, Any]:
    return {name: record(others.get(name.replace("-", "_"), STATE), 1e-5) for name in FOLDS}


def test_a_users_epsilon_is_that_of_all_federations_but_the_one_it_was_held_out_of() -> None:
    found = composed(of_folds(), FOLDS, USERS)
    assert found["per_federation"] == of_folds()
    told = found["per_user"]
    assert (told["federations"], told["releases"]) == (2, [[5.0, 8]])
    assert told["epsilon"] == pytest.approx(epsilon_of(1e-5, 8**0.5 / 5), rel=1e-2)
    assert told["epsilon"] > found["per_federation"]["fold-1"]["epsilon"]


def test_the_user_is_told_of_for_whom_it_costs_most() -> None:
    dear = compose(PrivacyState(), NoisyRelease(multiplier=1.0))
    told = composed(of_folds(fold_1=dear), FOLDS, USERS)["per_user"]
    assert sorted(told["releases"]) == [[1.0, 1], [5.0, 4]]


def test_a_federation_of_everyone_counts_for_everyone() -> None:
    with_all = {**of_folds(), "everyone": record(STATE, 1e-5)}
    assert composed(with_all, FOLDS, USERS)["per_user"]["releases"] == [[5.0, 12]]


def test_one_void_federation_voids_the_promise_to_its_members() -> None:
    told = composed(of_folds(fold_2=voided(STATE, NO_NOISE)), FOLDS, USERS)["per_user"]
    assert (told["dp"], told["void"], told["epsilon"]) == ("void", [NO_NOISE], None)
    assert composed({}, FOLDS, USERS) == {}


def test_the_page_tells_both() -> None:
    told = composed(of_folds(), FOLDS, USERS)
    (*_, words) = federation_words({"federation": LEAK, "privacy": told})
    each, user = told["per_federation"]["fold-1"]["epsilon"], told["per_user"]["epsilon"]
    assert words == (
        f"Differential privacy at delta 1e-05: epsilon {each:.3g} per federation, {user:.3g} for a "
        "user, who was in 2 of 3."
    )

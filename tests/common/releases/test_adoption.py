"""The device goes forward along one chain, and keeps what it has whatever else is offered."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from common.releases import Adopted, link_of, sign_release
from common.releases.adoption import MOST_LINKS
from common.releases.errors import (
    Fork,
    Gap,
    NotARelease,
    ReleaseRefused,
    RollBack,
    Tampered,
    WrongBackbone,
    WrongFleet,
    WrongKey,
    WrongLabels,
    WrongSpecification,
)
from tests.common.releases.made import (
    KEY,
    LABELS,
    OTHER_KEY,
    SPECIFICATION,
    adopted,
    arrays_of,
    chain,
    draft,
    hexed,
    manifest_of,
)

CHAIN = chain(6)
OTHER_CHAIN = CHAIN[:2] + chain(6, start=50.0)[2:]


def at(sequence: int) -> Adopted:
    return adopted().accept(CHAIN[sequence - 1]).adopted


def test_releases_are_adopted_one_by_one() -> None:
    state = adopted()
    for number, content in enumerate(CHAIN, start=1):
        state, release, repeated = state.accept(content)
        assert (state.sequence, state.sha256, repeated) == (number, release.sha256, False)
        np.testing.assert_array_equal(release.arrays["user.bias"], np.float32(1 + number))


def test_the_same_release_again_changes_nothing() -> None:
    state = at(3)
    again = state.accept(CHAIN[2])
    assert (again.adopted, again.repeated) == (state, True)
    damaged = CHAIN[2][:-1] + bytes([CHAIN[2][-1] ^ 1])
    with pytest.raises(Tampered):
        state.accept(damaged)


@given(own=st.integers(0, 6), offered=st.integers(1, 6), data=st.data())
def test_forward_with_all_links_and_never_else(own: int, offered: int, data: st.DataObject) -> None:
    """The oracle: adopted if and only if it is the same, the first, or all links are there."""
    state = at(own) if own else adopted()
    given_links = data.draw(st.lists(st.integers(1, 6), unique=True).map(sorted))
    between = [link_of(CHAIN[number - 1]) for number in given_links]
    steps = [*given_links, offered]
    consecutive = all(b == a + 1 for a, b in pairwise(steps))
    good = offered == own or (consecutive and (own == 0 or steps[0] == own + 1))
    if good:
        after = state.accept(CHAIN[offered - 1], between).adopted
        assert (after.sequence, after.round) == (offered, 3)
    else:
        with pytest.raises((Gap, RollBack, Fork)):
            state.accept(CHAIN[offered - 1], between)


def test_reasons_are_told_apart() -> None:
    with pytest.raises(RollBack, match="release 2 is older than release 4"):
        at(4).accept(CHAIN[1])
    with pytest.raises(Gap, match="fetch the links of releases 3 to 5 too"):
        at(2).accept(CHAIN[5])
    with pytest.raises(Fork, match="release 4 belongs to another history"):
        at(3).accept(OTHER_CHAIN[3])
    with pytest.raises(Fork):
        at(3).accept(OTHER_CHAIN[2])
    with pytest.raises(Fork):
        at(3).accept(OTHER_CHAIN[4], [OTHER_CHAIN[3]])
    with pytest.raises(Fork):
        at(3).accept(OTHER_CHAIN[4], [CHAIN[3]])
    with pytest.raises(WrongKey):
        at(3).accept(sign_release(draft(), manifest_of(CHAIN[2]), OTHER_KEY))
    with pytest.raises(WrongFleet, match="fleet-b"):
        at(3).accept(sign_release(draft(fleet="fleet-b"), manifest_of(CHAIN[2]), KEY))
    with pytest.raises(NotARelease):
        at(3).accept(link_of(CHAIN[3]))
    with pytest.raises(Gap, match="links"):
        at(3).accept(CHAIN[5], [CHAIN[3]] * (MOST_LINKS + 1))


def test_heads_that_do_not_fit_the_device_are_refused() -> None:
    parent = manifest_of(CHAIN[2])
    others = {
        WrongBackbone: replace(SPECIFICATION, features="other/1"),
        WrongSpecification: replace(SPECIFICATION, dimension=3),
    }
    for error, specification in others.items():
        arrays = arrays_of(1.0, specification)
        content = sign_release(draft(specification=specification, arrays=arrays), parent, KEY)
        for state in (at(3), adopted()):
            with pytest.raises(error):
                state.accept(content)
    swapped = sign_release(draft(expressions=LABELS[::-1]), parent, KEY)
    with pytest.raises(WrongLabels, match="happy, calm"):
        at(3).accept(swapped)


def test_links_may_be_of_other_specifications() -> None:
    other = replace(SPECIFICATION, features="other/1")
    made = chain(3, {2: {"specification": other}})
    state = adopted().accept(made[0]).adopted
    with pytest.raises(WrongBackbone):
        state.accept(made[1])
    assert state.accept(made[2], [link_of(made[1])]).adopted.sequence == 3


def test_the_first_release_is_not_older_than_the_enrolment(tmp_path: Path) -> None:
    state = adopted(floor=4)
    with pytest.raises(RollBack, match="release 3 is older than release 4"):
        state.accept(CHAIN[2])
    path = tmp_path / "release"
    path.write_bytes(CHAIN[3])
    assert state.accept(path).adopted.sequence == 4
    assert state.accept(CHAIN[4], [path]).adopted.sequence == 5


def test_a_key_is_followed_by_the_one_that_it_names() -> None:
    made = chain(2, {2: {"next_key": hexed(OTHER_KEY)}})
    second = manifest_of(made[1])
    by_new = sign_release(draft(7.0), second, OTHER_KEY)
    by_old = sign_release(draft(7.0), second, KEY)
    state = adopted().accept(made[0]).adopted
    turned = state.accept(made[1]).adopted
    assert turned.key == hexed(OTHER_KEY)
    assert turned.accept(made[1]).repeated  # signed by the old key, and still the adopted one
    assert turned.accept(by_new).adopted.sequence == 3
    with pytest.raises(WrongKey):
        turned.accept(by_old)
    with pytest.raises(WrongKey):
        state.accept(by_new)
    assert state.accept(by_new, [link_of(made[1])]).adopted.key == hexed(OTHER_KEY)
    assert adopted().accept(by_new, [link_of(made[1])]).adopted.sequence == 3
    with pytest.raises(WrongKey):  # the old key can't name a second successor either
        turned.accept(by_old, [link_of(sign_release(draft(8.0), second, KEY))])


@given(offers=st.lists(st.integers(0, 11), max_size=12))
def test_whatever_is_offered_the_state_only_goes_forward_on_one_chain(offers: list[int]) -> None:
    state = at(1)
    seen = {1: state.sha256}
    for offer in offers:
        try:
            after = state.accept((CHAIN + OTHER_CHAIN)[offer]).adopted
        except ReleaseRefused:
            continue
        assert after.sequence in (state.sequence, state.sequence + 1)
        assert seen.setdefault(after.sequence, after.sha256) == after.sha256
        state = after


def test_a_refused_release_leaves_the_state(tmp_path: Path) -> None:
    state = at(2)
    before = state.to_json()
    for content in (CHAIN[0], OTHER_CHAIN[5], b"", CHAIN[2][:-1]):
        with pytest.raises(ReleaseRefused):
            state.accept(content)
    assert state.to_json() == before


def test_the_state_is_kept_as_json() -> None:
    for state in (adopted(floor=9), at(5)):
        assert Adopted.from_json(state.to_json()) == state
    assert Adopted.from_json(at(5).to_json()).accept(CHAIN[5]).adopted.sequence == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 2),
        ("key", "ab"),
        ("key", None),
        ("signer", "x" * 64),
        ("sequence", -1),
        ("sequence", 0),
        ("sequence", "5"),
        ("sha256", ""),
        ("floor", 1.5),
        ("specification", {"kind": "none"}),
        ("more", 1),
    ],
)
def test_a_damaged_state_is_told(name: str, value: object) -> None:
    with pytest.raises(UsageError):
        Adopted.from_json(json.dumps({**json.loads(at(5).to_json()), name: value}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '"a"', "[" * 50_000])
def test_rubbish_is_no_state(text: str) -> None:
    with pytest.raises(UsageError):
        Adopted.from_json(text)

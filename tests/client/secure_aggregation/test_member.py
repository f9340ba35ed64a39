"""What a member refuses: every lie of a server that could make it give away its vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from client.secure_aggregation.member import Member
from common.secure_aggregation.messages import Advertisement, Confirmation, SealedShares
from common.secure_aggregation.session import SecureSumRefused, Session
from tests.common.secure_aggregation.parties import (
    identities,
    members_of,
    session_of,
    vectors_of,
)

MEMBERS = 5
Shares = dict[int, list[SealedShares]]


def advertised(session: Session) -> tuple[dict[int, Member], list[Advertisement]]:
    members = members_of(session)
    return members, [member.advertise() for member in members.values()]


def shared(session: Session) -> tuple[dict[int, Member], Shares]:
    members, keys = advertised(session)
    sent = [shares for member in members.values() for shares in member.share(keys)]
    return members, {n: [each for each in sent if each.receiver == n] for n in members}


def masked(session: Session) -> dict[int, Member]:
    members, incoming = shared(session)
    vectors = vectors_of(session)
    for number, member in members.items():
        member.mask(incoming[number], vectors[number])
    return members


def test_keys_that_the_roster_did_not_sign_are_refused() -> None:
    """A server that puts its own key in another's place, to read the shares."""
    members, keys = advertised(session_of(MEMBERS))
    own = X25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(SecureSumRefused, match="keys of member 2 are not signed by that member"):
        members[1].share([keys[0], replace(keys[1], sealing=own), *keys[2:]])


def test_keys_signed_by_another_identity_are_refused() -> None:
    session = session_of(MEMBERS)
    members, keys = advertised(session)
    forged = Advertisement.signed(
        session, 2, keys[1].sealing, keys[1].masking, Ed25519PrivateKey.generate()
    )
    with pytest.raises(SecureSumRefused, match="not signed by that member"):
        members[1].share([keys[0], forged, *keys[2:]])


@pytest.mark.parametrize("change", [{"head": "1" * 64}, {"round": 2}, {"attempt": 1}])
def test_members_who_got_another_head_or_round_do_not_share(change: dict[str, object]) -> None:
    """The server sends different models to different members (Pasquini et al., CCS 2022)."""
    members, keys = advertised(session_of(MEMBERS))
    _, others = advertised(session_of(MEMBERS, **change))
    with pytest.raises(SecureSumRefused, match="for this session"):
        members[1].share([keys[0], *others[1:]])


def test_the_same_key_twice_is_refused() -> None:
    members, keys = advertised(session_of(MEMBERS))
    with pytest.raises(SecureSumRefused, match="are the same"):
        members[1].share([*keys, keys[1]])


def test_too_few_keys_are_refused() -> None:
    members, keys = advertised(session_of(MEMBERS))
    with pytest.raises(SecureSumRefused, match=r"keys of 3 member\(s\) came, 4 are needed"):
        members[1].share(keys[:3])


def test_own_keys_must_come_back() -> None:
    members, keys = advertised(session_of(MEMBERS))
    with pytest.raises(SecureSumRefused, match="own keys are missing"):
        members[1].share(keys[1:])


@pytest.mark.parametrize("where", [0, 13, -1])
def test_changed_shares_are_refused(where: int) -> None:
    session = session_of(MEMBERS)
    members, incoming = shared(session)
    sealed = bytearray(incoming[1][0].sealed)
    sealed[where] ^= 1
    incoming[1][0] = replace(incoming[1][0], sealed=bytes(sealed))
    with pytest.raises(SecureSumRefused, match="changed on the way"):
        members[1].mask(incoming[1], vectors_of(session)[1])


def test_shares_for_another_member_are_refused() -> None:
    session = session_of(MEMBERS)
    members, incoming = shared(session)
    turned = replace(incoming[3][1], receiver=1)
    with pytest.raises(SecureSumRefused, match="changed on the way"):
        members[1].mask([*incoming[1][1:], turned], vectors_of(session)[1])


def test_a_member_who_is_alone_sends_no_vector() -> None:
    session = session_of(MEMBERS)
    members, incoming = shared(session)
    with pytest.raises(SecureSumRefused, match=r"shares of 3 member\(s\) came, 4 are needed"):
        members[1].mask(incoming[1][:2], vectors_of(session)[1])


def test_the_vector_is_masked_even_for_equal_vectors() -> None:
    session = session_of(MEMBERS)
    members, incoming = shared(session)
    zeros = np.zeros(session.length)
    sent = [members[n].mask(incoming[n], zeros) for n in members]
    assert len({vector.tobytes() for vector in sent}) == MEMBERS
    assert all(np.count_nonzero(vector) == session.length for vector in sent)


def test_two_lists_of_who_is_there_reveal_nothing() -> None:
    """The server tells members 1 to 4 that 5 left, and member 5 that 1 left."""
    session = session_of(MEMBERS)
    members = masked(session)
    one, other = [1, 2, 3, 4], [2, 3, 4, 5]
    signed = [members[n].confirm(one) for n in (1, 2)] + [members[n].confirm(other) for n in (3, 4)]
    for number, rule in ((1, "not signed by that member"), (3, "a member who is not there")):
        with pytest.raises(SecureSumRefused, match=rule):
            members[number].reveal(signed)


def test_too_few_confirmations_reveal_nothing() -> None:
    members = masked(session_of(MEMBERS))
    there = list(members)
    signed = [member.confirm(there) for member in members.values()]
    with pytest.raises(SecureSumRefused, match="confirmations of 3"):
        members[1].reveal(signed[:3])


def test_a_confirmation_of_a_stranger_reveals_nothing() -> None:
    session = session_of(MEMBERS)
    members = masked(session)
    signed = [members[n].confirm([1, 2, 3, 4]) for n in (1, 2, 3, 4)]
    forged = Confirmation.signed(session, 5, [1, 2, 3, 4], identities(5)[5])
    with pytest.raises(SecureSumRefused, match="not there"):
        members[1].reveal([*signed[:3], forged])


def test_nobody_reveals_both_secrets_of_a_member() -> None:
    members = masked(session_of(MEMBERS))
    signed = [members[n].confirm([1, 2, 3, 4]) for n in (1, 2, 3, 4)]
    for number in (1, 2, 3, 4):
        told = members[number].reveal(signed)
        assert set(told.own_masks) == {1, 2, 3, 4}
        assert set(told.pair_secrets) == {5}


@pytest.mark.parametrize("step", ["advertise", "confirm"])
def test_no_step_is_taken_twice(step: str) -> None:
    """Asked again with another list, a member would sign both."""
    members = masked(session_of(MEMBERS))
    members[1].confirm([1, 2, 3, 4])
    with pytest.raises(SecureSumRefused, match=f"asked to {step}, but the next step is to reveal"):
        members[1].advertise() if step == "advertise" else members[1].confirm([1, 2, 3, 4, 5])


def test_a_roster_with_another_key_is_refused() -> None:
    with pytest.raises(SecureSumRefused, match="another identity key"):
        Member(session_of(MEMBERS), 1, Ed25519PrivateKey.generate())


def test_saved_secrets_are_of_one_session() -> None:
    member = members_of(session_of(MEMBERS))[1]
    with pytest.raises(SecureSumRefused, match="of another secure sum"):
        Member.restored(session_of(MEMBERS, attempt=1), member.identity, member.saved())


def test_secrets_are_not_shown() -> None:
    member = masked(session_of(MEMBERS))[1]
    shown = repr(member) + repr(member.saved().keys())
    assert member.saved()["own_seed"] not in shown
    assert "PrivateKey" not in shown

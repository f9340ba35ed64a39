"""What the server refuses, and that what it holds before the end looks like noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.secure_aggregation.messages import Revealed
from common.secure_aggregation.session import SecureSumRefused
from server.secure_aggregation.aggregator import Aggregator
from tests.common.secure_aggregation.parties import members_of, session_of, vectors_of


def revealed(members: int = 5) -> tuple[Aggregator, list[Revealed]]:
    """A sum whose last member left after sharing, up to its last step."""
    session = session_of(members)
    vectors, parties, server = vectors_of(session), members_of(session), Aggregator(session)
    keys = server.advertised([party.advertise() for party in parties.values()])
    passed = server.shared({number: party.share(keys) for number, party in parties.items()})
    del parties[members]
    there = server.masked({n: party.mask(passed[n], vectors[n]) for n, party in parties.items()})
    signed = server.confirmed([party.confirm(there) for party in parties.values()])
    return server, [party.reveal(signed) for party in parties.values()]


def test_shares_that_do_not_fit_are_found_out() -> None:
    """A member who lies about another's secret: the key that it gives is not the one advertised."""
    server, told = revealed()
    told[0] = replace(told[0], pair_secrets={5: bytes(33)})
    with pytest.raises(SecureSumRefused, match=r"secret (give another key|do not fit)"):
        server.unmasked(told)


def test_missing_shares_end_the_sum() -> None:
    server, told = revealed()
    told[0] = replace(told[0], pair_secrets={})
    with pytest.raises(SecureSumRefused, match="3 shares of member 5's secret came, 4 are needed"):
        server.unmasked(told)


@pytest.mark.parametrize("change", ["nobody", "twice", "in another's name"])
def test_members_who_share_wrongly_are_refused(change: str) -> None:
    session = session_of(4)
    parties, server = members_of(session), Aggregator(session)
    keys = server.advertised([party.advertise() for party in parties.values()])
    sent = {number: party.share(keys) for number, party in parties.items()}
    if change == "nobody":
        sent[1] = sent[1][1:]
    elif change == "twice":
        sent[1] = [*sent[1][1:], sent[1][1]]
    else:
        sent[1] = [replace(each, sender=2) for each in sent[1]]
    with pytest.raises(SecureSumRefused, match=r"member 1 (did not share|shared in another)"):
        server.shared(sent)


@pytest.mark.parametrize(
    "vector", [np.zeros(5, np.uint32), np.zeros(6, np.int64), np.zeros((6, 1), np.uint32)]
)
def test_a_vector_of_another_length_is_refused(vector: np.ndarray) -> None:
    server = Aggregator(session_of(3))
    with pytest.raises(SecureSumRefused, match="no vector of the session's length"):
        server.masked({1: vector})


def test_a_member_who_never_came_is_refused() -> None:
    server = Aggregator(session_of(3))
    with pytest.raises(SecureSumRefused, match="never came"):
        server.masked({1: np.zeros(6, np.uint32)})


def test_what_the_server_sees_of_one_member_is_noise() -> None:
    """Masked vectors of 3 members of 20 000 entries: no correlation with the plain ones."""
    session = session_of(3, length=20_000)
    vectors, parties = vectors_of(session), members_of(session)
    keys = [party.advertise() for party in parties.values()]
    sent = [each for party in parties.values() for each in party.share(keys)]
    for number, party in parties.items():
        seen = party.mask([each for each in sent if each.receiver == number], vectors[number])
        correlation = np.corrcoef(seen.astype(np.float64), vectors[number])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(session.length)
        counts = np.bincount(seen >> 28, minlength=16)
        expected = session.length / 16
        assert float(np.sum((counts - expected) ** 2) / expected) < 50  # chi-square, 15 degrees


def test_a_quorum_above_the_threshold_ends_the_session_before_anything_is_revealed() -> None:
    """Four of five vectors are enough for the threshold of four, not for a quorum of five."""
    session = session_of(5)
    vectors, parties = vectors_of(session), members_of(session)
    server = Aggregator(session, quorum=5)
    keys = server.advertised([party.advertise() for party in parties.values()])
    passed = server.shared({number: party.share(keys) for number, party in parties.items()})
    del parties[5]
    masked = {n: party.mask(passed[n], vectors[n]) for n, party in parties.items()}
    with pytest.raises(SecureSumRefused, match=r"4 member\(s\) are left at mask, the quorum is 5"):
        server.masked(masked)


def test_the_quorum_does_not_count_who_confirms_and_reveals() -> None:
    """A member whose vector is in the sum may leave afterwards."""
    session = session_of(5)
    vectors, parties = vectors_of(session), members_of(session)
    server = Aggregator(session, quorum=5)
    keys = server.advertised([party.advertise() for party in parties.values()])
    passed = server.shared({number: party.share(keys) for number, party in parties.items()})
    there = server.masked({n: party.mask(passed[n], vectors[n]) for n, party in parties.items()})
    del parties[5]
    signed = server.confirmed([party.confirm(there) for party in parties.values()])
    total = server.unmasked([party.reveal(signed) for party in parties.values()])
    np.testing.assert_allclose(total, sum(vectors.values()), atol=1e-4)

"""Secret sharing: any `threshold` shares give the secret, fewer give nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.secure_aggregation import shamir

SECRETS = st.binary(min_size=32, max_size=32)


@given(SECRETS, st.integers(1, 8), st.data())
@settings(max_examples=40, deadline=None)
def test_any_threshold_of_shares_gives_the_secret(
    secret: bytes, threshold: int, data: st.DataObject
) -> None:
    shares = shamir.split(secret, range(1, 9), threshold)
    held = data.draw(st.permutations(sorted(shares)))[:threshold]
    assert shamir.combine({member: shares[member] for member in held}) == secret


def test_fewer_shares_fit_every_secret() -> None:
    """For whatever secret there is a last share that makes it of the ones that are held."""
    shares = shamir.split(b"a" * 32, (1, 2, 3), 3)
    held = {member: int.from_bytes(shares[member], "big") for member in (1, 2)}
    for wanted in (0, 1, 2**256 - 1):
        # Weights at 0 of the points 1, 2, 3 are 3, -3, 1.
        last = (wanted - 3 * held[1] + 3 * held[2]) % shamir.PRIME
        found = shamir.combine(
            {1: shares[1], 2: shares[2], 3: last.to_bytes(shamir.SHARE_BYTES, "big")}
        )
        assert int.from_bytes(found, "big") == wanted


def test_a_known_polynomial() -> None:
    """f(x) = 7 + 5 x + 3 x^2: f(1) = 15, f(2) = 29, f(4) = 75."""
    shares = {
        at: value.to_bytes(shamir.SHARE_BYTES, "big") for at, value in ((1, 15), (2, 29), (4, 75))
    }
    assert shamir.combine(shares) == (7).to_bytes(32, "big")


def test_shares_of_the_same_secret_differ_each_time() -> None:
    one, other = (shamir.split(bytes(32), (1, 2), 2) for _ in range(2))
    assert one[1] != other[1]
    assert one[1] != one[2]


@pytest.mark.parametrize(("secret", "threshold"), [(b"short", 2), (bytes(32), 0)])
def test_what_is_no_secret_or_threshold_is_refused(secret: bytes, threshold: int) -> None:
    with pytest.raises(ValueError, match="a secret has 32 bytes"):
        shamir.split(secret, (1, 2), threshold)


def test_no_share_is_the_secret_itself() -> None:
    with pytest.raises(ValueError, match="a share at 0"):
        shamir.split(bytes(32), (0, 1), 2)


def test_shares_that_give_no_secret_are_refused() -> None:
    too_large = (2**256 + 5).to_bytes(shamir.SHARE_BYTES, "big")
    with pytest.raises(ValueError, match="do not give a secret"):
        shamir.combine({1: too_large})


def test_the_modulus_is_prime() -> None:
    """Fermat's test to ten bases; and nothing between it and 2^256 passes it."""
    assert all(pow(base, shamir.PRIME - 1, shamir.PRIME) == 1 for base in range(2, 12))
    between = range(2**256 + 1, shamir.PRIME, 2)  # 2^256 + 1 passes to base 2
    assert not any(pow(3, number - 1, number) == 1 for number in between)

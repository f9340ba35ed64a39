"""Fixed vectors of every step: another implementation, or a later version, must give the same.

Session: `parties.session_of(3)` (three members whose identity keys are the numbers 1, 2, 3 as 32
big-endian bytes, six entries, clip 1). The secret is the bytes 0 to 31.
"""

from __future__ import annotations

import hashlib

import numpy as np

from common.secure_aggregation import masks, shamir, steps
from common.secure_aggregation.encoding import decode_sum, encode
from common.secure_aggregation.messages import Advertisement, Confirmation, Revealed
from tests.common.secure_aggregation.parties import identities, session_of

SESSION = session_of(3)
KEYS = identities(3)
SECRET = bytes(range(32))
SHARES = {
    1: "0066f998ec750073aa01a11a4dbc3b74f422e7fe39ad575a8c6423d080aa46fc88",
    2: "00cdf22fd5e5fbe14cfb392a906c69dbd935beea6046999f01b02e86e63870daf1",
    3: "0034eac6bf56f74eeff4d13ad31c9842be4895d686dfdbe376fc393d4bc69ab831",
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_session() -> None:
    expected = "4f56b3952d78eb7e524cf94f06c8676dee213fdc00518552f0cac31425dca915"
    assert SESSION.digest.hex() == expected


def test_step_1_invitation_and_keys() -> None:
    told = steps.write_invitation(steps.Invitation(7, "ab" * 32, (b"one", b"two")))
    assert sha256(told) == "35abf8d0011a90043c64f5e98fbe603cacb1bd7c7cbac06db1072bded8b83f0d"
    signed = Advertisement.signed(SESSION, 1, bytes(32), b"\1" * 32, KEYS[1])
    assert signed.signature.hex() == (
        "de1a3595e9f1f1be72a81413fc6454ff31497f43000d7d39128bd93d6a9c88f3"
        "4737a73a386af011deb8b5654d24daa019e419e231ea4de44b8c7893e8f76c08"
    )
    signed.check(SESSION)


def test_step_2_shares() -> None:
    key = masks.derived(SESSION, SECRET, masks.SHARES).hex()
    assert key == "79ff6ff5845c2af77c0aee392752d6837462f12433f028cf34035b1bd5f4a7b1"
    shares = {member: bytes.fromhex(share) for member, share in SHARES.items()}
    for left_out in SHARES:
        two = {member: share for member, share in shares.items() if member != left_out}
        assert shamir.combine(two) == SECRET


def test_step_3_entries_and_masks() -> None:
    values = np.array([0, 1, -1, 0.5, -0.25, 1e-9])
    ring = encode(SESSION, values)
    assert ring.tolist() == [0, 536870911, 3758096385, 268435456, 4160749568, 1]
    np.testing.assert_allclose(decode_sum(SESSION, ring), values, atol=SESSION.step / 2)
    assert masks.stream(SESSION, SECRET, masks.PAIR).tolist() == [
        *(969630064, 1377185763, 142557595),
        *(928292925, 2996164947, 3073256197),
    ]
    assert masks.stream(SESSION, SECRET, masks.SELF).tolist() == [
        *(1192384117, 194084130, 3851734145),
        *(3559214628, 2884410363, 893801871),
    ]


def test_step_4_confirmation() -> None:
    told = Confirmation.signed(SESSION, 2, [3, 1, 2], KEYS[2])
    assert told.signature.hex() == (
        "64acd1f38dee706d65b4c0a6a43762cc54593e442bc1f9964bdea494dcbdc03f"
        "22b56305d6767b01fceb29e5a253fbe73309af3c0f6b66cf91c19ac8ad755c0e"
    )
    told.check(SESSION, {1, 2, 3})


def test_step_5_revealed_shares() -> None:
    told = steps.write_revealed(Revealed(1, {2: bytes(33)}, {3: b"\1" * 33}))
    assert sha256(told) == "115f72e33533422acda80d94a7a327312fa5c609df6f9f4fd9b0f44bb081477b"

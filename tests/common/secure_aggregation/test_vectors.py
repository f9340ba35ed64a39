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
    expected = "b758515aa461323dd6902624261870cd804fda392bb316a7eb7731b001ce4d58"
    assert SESSION.digest.hex() == expected


def test_step_1_invitation_and_keys() -> None:
    told = steps.write_invitation(steps.Invitation(7, "ab" * 32, (b"one", b"two")))
    assert sha256(told) == "35abf8d0011a90043c64f5e98fbe603cacb1bd7c7cbac06db1072bded8b83f0d"
    signed = Advertisement.signed(SESSION, 1, bytes(32), b"\1" * 32, KEYS[1])
    assert signed.signature.hex() == (
        "69b3cc9b3ad36a40f8e153d5843728b432144e505770a2058fdd7fe06d131cae"
        "6d87c56e52fe69c98495b4f22b56d11473fdddd15640f36000144fc613b7770c"
    )
    signed.check(SESSION)


def test_step_2_shares() -> None:
    key = masks.derived(SESSION, SECRET, masks.SHARES).hex()
    assert key == "1d32f7db6e4280b8f2dbeca4878c45b90058afda225cc60e3ebe6429c2aebadb"
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
        *(2232500839, 2025950791, 121021595),
        *(4185522135, 3879089816, 3055941996),
    ]
    assert masks.stream(SESSION, SECRET, masks.SELF).tolist() == [
        *(4281758606, 4287366239, 3254907276),
        *(424547442, 1967093686, 778227057),
    ]


def test_step_4_confirmation() -> None:
    told = Confirmation.signed(SESSION, 2, [3, 1, 2], KEYS[2])
    assert told.signature.hex() == (
        "e5e7fa3368643bac500f47508fa930614c9e6265d79aa12e8db960bfbd91391a"
        "93947ae8373de518ef19bebcf66c067622d3d48aec21d48467db2cee5dd4fc04"
    )
    told.check(SESSION, {1, 2, 3})


def test_step_5_revealed_shares() -> None:
    told = steps.write_revealed(Revealed(1, {2: bytes(33)}, {3: b"\1" * 33}))
    assert sha256(told) == "115f72e33533422acda80d94a7a327312fa5c609df6f9f4fd9b0f44bb081477b"

"""Mask streams: AES-256 in counter mode over a key that HKDF makes of a shared secret.

Flower's SecAgg+ folds its seeds to 28 bits (flwrlabs/flower#7522), so that masks can be searched
for; here a mask is as strong as the 256-bit secret behind it.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.secure_aggregation.encoding import Ring
from common.secure_aggregation.session import Session

PAIR = b"mien secure sum 1: mask of a pair"
SELF = b"mien secure sum 1: a member's own mask"
SHARES = b"mien secure sum 1: shares from one member to another"


def derived(session: Session, secret: bytes, purpose: bytes) -> bytes:
    """A 32-byte key for one purpose in one session (HKDF, RFC 5869, SHA-256)."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=session.digest, info=purpose)
    return kdf.derive(secret)


def stream(session: Session, secret: bytes, purpose: bytes) -> Ring:
    """The mask, (length,), that a secret stands for.

    The counter starts at 0; a key is used for one stream only, since it names session and purpose.
    """
    key = derived(session, secret, purpose)
    encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()
    zeros = bytes(4 * session.length)
    return np.frombuffer(encryptor.update(zeros) + encryptor.finalize(), dtype="<u4")

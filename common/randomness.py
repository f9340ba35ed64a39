"""Random choices as a function of (seed, purpose, round, client, user), never of call order.

Never used for differential-privacy noise, which comes from the operating system only.
"""

from __future__ import annotations

import hashlib

import numpy as np


def generator(
    seed: int, purpose: str, *, round: int = 0, client: int | str = 0, user: int | str = 0
) -> np.random.Generator:
    """A generator that is the same whenever its five coordinates are the same.

    The coordinates are hashed (SHA-256) into the 128-bit seed of a PCG64 stream, so streams of
    different coordinates are independent for all practical purposes.

    >>> a = generator(7, "draw", client=3).integers(1000)
    >>> b = generator(7, "draw", client=3).integers(1000)
    >>> bool(a == b)
    True
    """
    key = "\x1f".join(
        (str(int(seed)), purpose, str(int(round)), _text(client), _text(user))
    ).encode()
    digest = hashlib.sha256(key).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def _text(name: int | str) -> str:
    """Equal coordinates give equal text; 3 and "3" differ, NumPy's 3 and Python's do not."""
    return repr(str(name)) if isinstance(name, str) else str(int(name))

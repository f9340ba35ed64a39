"""A mask that comes from a 32-bit seed is found by trying the seeds.

Flower's SecAgg+ folds a pair's key to 32 bits by exclusive or and seeds NumPy's Mersenne Twister
with them. The key is base64 text, whose bytes are below 128, so that 2^28 seeds are left. Where one
mask stands alone between the server and an update (all but two devices are the server's
accomplices, or there are only two), the weight in clear gives the mask's first number, and the
seeds that begin with it are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

Seeds = npt.NDArray[np.uint32]
BITS: Final = 28
"""Of a seed that are not always 0."""
_SECOND, _FAR = 1, 397
_WORD: Final = np.uint32(0xFFFFFFFF)


def fold(key: bytes) -> int:
    """The seed that a pair's key is folded to.

    >>> hex(fold(bytes(range(8))))
    '0x4040404'
    """
    words = np.frombuffer(key, dtype="<u4")
    return int(np.bitwise_xor.reduce(words))


def spread(index: npt.NDArray[np.integer]) -> Seeds:
    """The `index`-th possible seeds: 28 bits, 7 in each byte.

    >>> [hex(int(s)) for s in spread(np.array([127, 128, 2**28 - 1]))]
    ['0x7f', '0x100', '0x7f7f7f7f']
    """
    whole = index.astype(np.uint64)
    parts = [
        ((whole >> np.uint64(7 * lane)) & np.uint64(127)) << np.uint64(8 * lane)
        for lane in range(4)
    ]
    return np.asarray(parts[0] | parts[1] | parts[2] | parts[3], dtype=np.uint32)


def gather(seed: int) -> int:
    """Inverse of `spread` for one seed.

    >>> gather(int(spread(np.array([123456789]))[0]))
    123456789
    """
    return sum(((seed >> (8 * lane)) & 127) << (7 * lane) for lane in range(4))


def first_numbers(seeds: Seeds) -> Seeds:
    """(seeds,) the first 32 bits that a Mersenne Twister of each seed gives.

    Matsumoto and Nishimura, ACM TOMACS 8(1), 1998, in NumPy's seeding by one number: only three of
    the 624 words of its state are needed.
    """
    word = seeds.astype(np.uint32)
    first = word
    second = word
    for place in range(1, _FAR + 1):
        word = np.uint32(1812433253) * (word ^ (word >> np.uint32(30))) + np.uint32(place)
        if place == _SECOND:
            second = word
    mixed = (first & np.uint32(0x80000000)) | (second & np.uint32(0x7FFFFFFF))
    odd = (mixed & np.uint32(1)) * np.uint32(0x9908B0DF)
    value = word ^ (mixed >> np.uint32(1)) ^ odd
    value = value ^ (value >> np.uint32(11))
    value = value ^ ((value << np.uint32(7)) & np.uint32(0x9D2C5680))
    value = value ^ ((value << np.uint32(15)) & np.uint32(0xEFC60000))
    return np.asarray(value ^ (value >> np.uint32(18)), dtype=np.uint32)


def seeds_that_begin(number: int, start: int, count: int, chunk: int = 1 << 15) -> Iterator[int]:
    """Possible seeds, from the `start`-th on, whose mask begins with `number`.

    Args:
        number: 0..2^32 - 1, the mask's first.
        start, count: the part of the 2^28 seeds that is searched.
        chunk: seeds that are tried at once; those of a few hundred kB stay in a core's cache.
    """
    wanted = np.uint32(number) & _WORD
    for begin in range(start, start + count, chunk):
        tried = spread(np.arange(begin, min(begin + chunk, start + count), dtype=np.int64))
        yield from (int(seed) for seed in tried[first_numbers(tried) == wanted])

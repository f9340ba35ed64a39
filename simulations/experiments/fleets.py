"""Fleets whose devices hold unlike clips: skewed expressions, unlike amounts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from client.training import FEWEST_CLIPS
from common.clips import ClipSet
from common.expressions import EXPRESSIONS
from common.randomness import generator

Integers = npt.NDArray[np.int64]


def skewed(clips: ClipSet, concentration: float, *, seed: int) -> ClipSet:
    """Half of each user's clips (at least `FEWEST_CLIPS`), drawn with skewed expressions.

    Each user's liking for expressions is drawn from a symmetric Dirichlet distribution (as in Hsu,
    Qi and Brown 2019, arXiv:1909.06335); clips are drawn without replacement, an expression's by
    its liking.

    Args:
        clips: of all users.
        concentration: of the Dirichlet distribution, above 0; the smaller, the more skewed.
        seed: of likings and draws.
    """

    def keep(user: str, labels: Integers) -> Integers:
        chooser = generator(seed, f"label skew {concentration:g}", user=user)
        liking = chooser.dirichlet(np.full(len(EXPRESSIONS), concentration))
        chance = np.log(np.maximum(liking[labels], np.finfo(np.float64).tiny))
        order = np.argsort(-(chance + chooser.gumbel(size=len(labels))), kind="stable")
        return np.sort(order[: max(FEWEST_CLIPS, len(labels) // 2)])

    return _kept(clips, keep)


def unlike_amounts(clips: ClipSet, *, seed: int) -> ClipSet:
    """From `FEWEST_CLIPS` to all of a user's clips: log-uniform amounts, drawn at random."""
    sizes = _amounts(clips, seed)
    return _kept(clips, lambda user, labels: _some(user, len(labels), sizes[user], seed))


def like_amounts(clips: ClipSet, *, seed: int) -> ClipSet:
    """As many clips in all as `unlike_amounts`, as equally among users as there are clips."""
    sizes = _amounts(clips, seed)
    each = max(FEWEST_CLIPS, round(sum(sizes.values()) / len(sizes)))
    return _kept(clips, lambda user, labels: _some(user, len(labels), each, seed))


def _amounts(clips: ClipSet, seed: int) -> dict[str, int]:
    found = {}
    for user in clips.user_names():
        count = clips.users.count(user)
        low = np.log(min(FEWEST_CLIPS, count))
        drawn = generator(seed, "fleet amounts", user=user).uniform(low, np.log(count))
        found[user] = round(float(np.exp(drawn)))
    return found


def _some(user: str, count: int, size: int, seed: int) -> Integers:
    order = generator(seed, "fleet clips", user=user).permutation(count)
    return np.sort(order[:size])


def _kept(clips: ClipSet, keep: Callable[[str, Integers], Integers]) -> ClipSet:
    """The clips whose indices among their user's `keep(user, labels)` names, in their order."""
    owners = np.array(clips.users)
    chosen: list[int] = []
    for user in clips.user_names():
        own = np.flatnonzero(owners == user)
        chosen += own[keep(user, clips.labels[own])].tolist()
    return clips.select(sorted(chosen))

"""How often the identity network errs on faces whose owners are known.

A comparison is of two clips (or pictures), by the rule that the device uses (`likeness`).  False
accepts are comparisons of two people that fall below the threshold, false rejects those of one
person that do not.  The bounds are Clopper and Pearson's (Biometrika 26(4), 1934), which are exact
for independent comparisons.  Comparisons of the same two people are not independent, so whether a
rate as small as `TARGET` can be measured is judged by the number of pairs of people alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from client.recognition.likeness import clip_distance, published_threshold
from client.vault.records import Floats
from common.errors import UsageError
from common.identity.network import identity_spec
from common.identity.records import IdentityRecord

TARGET: Final = 1e-3
"""The false accept rate that is asked for."""
LEVEL: Final = 0.95
"""Of the bounds."""

Progress = Callable[[int, int], None]
"""Called with the number of faces compared with all later ones, and the number of all faces."""


@dataclass(frozen=True, eq=False)
class KnownFace:
    """A clip or picture of somebody: whose, what it is called, its embeddings (n, dimension)."""

    person: str
    name: str
    embeddings: Floats


@dataclass(frozen=True)
class Rate:
    """A share of errors with its bounds.

    Attributes:
        errors: among `trials`.
        trials: comparisons; the other numbers are None where there is none.
        rate: errors / trials.
        low, high: two-sided bounds at `LEVEL`.
    """

    errors: int
    trials: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class ErrorRates:
    """What some faces say of an identity network at its published threshold.

    Attributes:
        network: spec of the network.
        threshold: the published one.
        source: who published it.
        people: how many.
        faces: clips and pictures.
        false_accepts: over comparisons of different people.
        false_rejects: over comparisons of one person.
        people_pairs: pairs of different people.
        pairs_needed: pairs of people without any false accept that would show a rate of at most
            `TARGET`, see `pairs_needed`.
        people_needed: that have so many pairs.
        verdict: one sentence on whether `TARGET` is measurable here.
        worst: the false accepts that are nearest, as (name, name, distance).
    """

    network: str
    threshold: float
    source: str
    people: int
    faces: int
    false_accepts: Rate
    false_rejects: Rate
    people_pairs: int
    pairs_needed: int
    people_needed: int
    verdict: str
    worst: tuple[tuple[str, str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON document."""
        return asdict(self)


def error_rates(
    record: IdentityRecord, faces: Sequence[KnownFace], *, progress: Progress | None = None
) -> ErrorRates:
    """Compare each face with each other one.

    Args:
        record: of the network that made the embeddings.
        faces: of known people.
        progress: see `Progress`.

    Raises:
        UsageError: fewer than two faces, or the network has no published threshold.
    """
    threshold = published_threshold(record)
    if len(faces) < 2:
        raise UsageError(f"{len(faces)} face(s) can't be compared with each other; give at least 2")
    same, accepted, different = [], [], 0
    for place, one in enumerate(faces):
        for other in faces[place + 1 :]:
            distance = clip_distance(record, one.embeddings, other.embeddings)
            if one.person == other.person:
                same.append(distance >= threshold)
            else:
                different += 1
                if distance < threshold:
                    accepted.append((one.name, other.name, distance))
        if progress is not None:
            progress(place + 1, len(faces))
    people = len({face.person for face in faces})
    return ErrorRates(
        network=identity_spec(record),
        threshold=threshold,
        source=record.threshold_source,
        people=people,
        faces=len(faces),
        false_accepts=rate(len(accepted), different),
        false_rejects=rate(sum(same), len(same)),
        people_pairs=math.comb(people, 2),
        pairs_needed=pairs_needed(TARGET),
        people_needed=people_needed(TARGET),
        verdict=_verdict(people),
        worst=tuple(sorted(accepted, key=lambda pair: pair[2])[:10]),
    )


def rate(errors: int, trials: int) -> Rate:
    """A share with Clopper and Pearson's bounds, by inverting the incomplete beta function.

    >>> rate(0, 100).high is not None and round(rate(0, 100).high, 4)
    0.0362
    """
    if not trials:
        return Rate(errors, trials, None, None, None)
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    low = float(betaincinv(errors, trials - errors + 1, tail)) if errors else 0.0
    high = float(betaincinv(errors + 1, trials - errors, 1 - tail)) if errors < trials else 1.0
    return Rate(errors, trials, errors / trials, low, high)


def pairs_needed(target: float) -> int:
    """Independent trials without an error that bound a rate by `target`, one-sided at `LEVEL`.

    (1 - target) ** n <= 1 - LEVEL, about 3 / target.

    >>> pairs_needed(1e-3)
    2995
    """
    return math.ceil(math.log(1 - LEVEL) / math.log1p(-target))


def people_needed(target: float) -> int:
    """The fewest people that make `pairs_needed` pairs.

    >>> people_needed(1e-3)
    78
    """
    return math.ceil((1 + math.sqrt(1 + 8 * pairs_needed(target))) / 2)


def _verdict(people: int) -> str:
    pairs, needed = math.comb(people, 2), pairs_needed(TARGET)
    if pairs >= needed:
        return f"{pairs} pairs of people are enough to bound a false accept rate of {TARGET:g}"
    return (
        f"a false accept rate of {TARGET:g} is not measurable here: {people} people make {pairs} "
        f"pair(s), and at least {needed} pairs ({people_needed(TARGET)} people) without a single "
        "false accept would be needed"
    )

"""What left this device could tell of its clips, and whether it should take part once more.

Everything is counted from the ledger's entries, so that restarts, runs and fleets share one
budget. An update that leaves as it is tells C - 1 exact mixtures of the device's clips
(`common.heads.leak`); at most as many as there are clips. In a secure sum the mixtures are of all
members' clips; under noise epsilon counts instead. The server's word is not needed for any of it:
noise and secure sums are what the device itself did. Of a noised sum that may be of too few members
its own share of the noise alone counts, since all others may be the server's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from client.exposure_limits import (
    FLEET_LIMITS as FLEET_LIMITS,
)
from client.exposure_limits import (
    NO_LIMITS as NO_LIMITS,
)
from client.exposure_limits import (
    ExposureLimits as ExposureLimits,
)
from client.exposure_limits import is_number
from common.heads.digest import digest_of
from common.heads.leak import combinations
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE, HeadSpecification

if TYPE_CHECKING:
    from common.clips import ClipSet
    from common.messages import Request

Entry = Mapping[str, Any]
DECLINES: Final = "declines this round: "
LEAST_NOISE: Final = 1.0
"""Multiplier below which noise is none where no epsilon limits it. At 1 its spread in any direction
is as long as the longest update; below, one round alone tells whether this device took part, by the
best test at even odds, with more than Phi(1/2) = 69 % right, and after a handful nearly always."""
_ROUNDING: Final = 1.0 + 1e-6
_SUM_KEYS: Final = ("stay", "members", "session")
_NOISE_KEYS: Final = ("multiplier", "seeded")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a round would make leave.

    Attributes:
        stage: `reference`, `head` or `evaluate`.
        combinations: exact mixtures of inputs that an update tells, see `common.heads.leak`.
        stay: threshold of the secure sum that the update goes into; 0 where it goes as it is.
        noise: multiplier that the device's accountant may count on; 0 for no noise.
        basis: see `basis_of`; empty where it is not known whether the round is asked for again.
    """

    stage: str
    combinations: int
    stay: int = 0
    noise: float = 0.0
    basis: str = ""

    @classmethod
    def of(
        cls, stage: str, specification: HeadSpecification, *, stay: int = 0, noise: float = 0.0
    ) -> Asked:
        """A round for a head of this specification."""
        told = combinations(specification.branch_shapes())
        return cls(stage=stage, combinations=told, stay=stay, noise=noise)


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What could be learnt from all that left.

    Attributes:
        rounds: head updates that left, each once.
        references: reference updates that left; coarse figures, no exact mixtures.
        clips: that the device has now.
        most_clips: that ever went into one update.
        open_combinations: exact mixtures told by updates that left as they are.
        sum_combinations: mixtures of all members' clips, told by secure sums.
        fewest_in_sums: smallest threshold of those sums, 0 without any.
        noised: rounds under noise that counts.
        epsilon: that these cost together at the limits' delta.
    """

    rounds: int
    references: int
    clips: int
    most_clips: int
    open_combinations: int
    sum_combinations: int
    fewest_in_sums: int
    noised: int
    epsilon: float

    @property
    def revealed(self) -> int:
        """min(7R, n): exact mixtures that are known of n clips after R rounds of 8 classes."""
        return min(self.open_combinations, self.clips)

    @property
    def share(self) -> float:
        """Mixtures told per clip; from 1 on membership is certain."""
        return self.open_combinations / self.clips if self.clips else 0.0

    @property
    def share_of_sums(self) -> float:
        """The same of sums, if the others have as many clips as this device."""
        together = self.clips * self.fewest_in_sums
        return self.sum_combinations / together if together else 0.0

    def in_words(self) -> str:
        """What the server could know, in a sentence for the device's owner."""
        if not self.rounds:
            return "No update of this device has left."
        told = f"{self.rounds} update(s) of up to {self.most_clips} clips left this device"
        known = (
            f"from those that left as they are {self.revealed} exact mixtures of its {self.clips} "
            f"clips can be known ({min(self.share, 1):.0%})"
        )
        parts = [told, known] if self.open_combinations else [told, "none as it is"]
        if self.sum_combinations:
            parts.append(f"sums told {self.sum_combinations} mixtures of all members' clips")
        if self.noised:
            parts.append(f"{self.noised} under noise cost epsilon {self.epsilon:.3g}")
        return "; ".join(parts) + "."


@dataclass(frozen=True)
class Decision:
    """Whether to take part, why in one sentence, and the exposure as it would be afterwards."""

    take_part: bool
    reason: str
    after: Exposure


def exposure(entries: Iterable[Entry], clips: int, limits: ExposureLimits) -> Exposure:
    """What has left so far.

    An update that left twice, byte for byte and protected alike, counts once.

    Args:
        entries: of the device's ledger, any order.
        clips: that the device has now.
        limits: what counts as protected, and the delta.
    """
    return _exposure(_releases(entries), clips, limits)


def would_exceed(
    entries: Iterable[Entry], asked: Asked, clips: int, limits: ExposureLimits
) -> Decision:
    """Decide on one more round. Pure: the ledger's entries and the settings decide.

    Args:
        entries: of the device's ledger.
        asked: what the round would make leave; counted as new, unless by its basis the very same
            update left before, as it is.
        clips: that would be used.
        limits: the device's.
    """
    kept = list(entries)
    releases = _releases(kept)
    before = _exposure(releases, clips, limits)
    if asked.stage not in (REFERENCE_STAGE, HEAD_STAGE):
        return Decision(True, "takes part: nothing leaves the device in this round", before)
    if _left_before(kept, asked):
        return Decision(True, "takes part: this very update has left before", before)
    new = _Release.of_asked(asked, clips)
    after = _exposure([*releases, new], clips, limits)
    if asked.stage == REFERENCE_STAGE:
        return Decision(True, "takes part: a reference holds no exact mixture of clips", after)
    hidden = new.counted_noise(limits) > 0
    if hidden and limits.epsilon is not None:
        fits = after.epsilon <= limits.epsilon * _ROUNDING
        return Decision(fits, _epsilon_sentence(fits, after, limits), after)
    if hidden or limits.share is None:
        return Decision(True, "takes part: its owner set no limit for such a round", after)
    summed = asked.stay >= limits.fewest_in_sum
    told = after.share_of_sums if summed else after.share
    fits = told < limits.share
    sentence = _sum_sentence if summed else _open_sentence
    return Decision(fits, sentence(fits, after, limits), after)


def exposure_part(
    request: Request,
    clips: ClipSet,
    *,
    secure_sum: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
    clip_norm: float | None = None,
) -> dict[str, Any]:
    """What a ledger's entry has to say of a release, so that the budget can count it.

    Args:
        request: that the release answers.
        clips: that went into it.
        secure_sum: `stay` (members without whom no sum is revealed), `members` and `session`; None
            for an update that leaves as it is.
        noise: `multiplier` (of all that is added together, in clipping norms) and `seeded`; None
            without noise.
        clip_norm: that the update was shortened to; None if it was not.

    Raises:
        ValueError: a key is missing.
    """
    for told, keys in (
        (secure_sum, ("stay", "members", "session")),
        (noise, ("multiplier", "seeded")),
    ):
        if told is not None and not set(keys) <= set(told):
            raise ValueError(f"an entry's {', '.join(told)} should be {', '.join(keys)}")
    head = request.stage == HEAD_STAGE
    shapes = request.head.specification.branch_shapes()
    return {
        "own_clips": len(clips),
        "combinations": combinations(shapes) if head else 0,
        "basis": basis_of(request, clips),
        "secure_sum": None if secure_sum is None else dict(secure_sum),
        "noise": None if noise is None else dict(noise),
        "clip_norm": clip_norm,
    }


def basis_of(request: Request, clips: ClipSet) -> str:
    """Hexadecimal SHA-256 of all that decides an update before masks and noise: a round's retry.

    The server's request, and which labelled clips are trained on. A clip's features never change
    under its name.
    """
    told = hashlib.sha256(json.dumps(request.numbers(), sort_keys=True).encode())
    told.update(digest_of(request.head.arrays).encode())
    told.update(json.dumps([clips.names, clips.users, clips.labels.tolist()]).encode())
    return told.hexdigest()


def _left_before(entries: Iterable[Entry], asked: Asked) -> bool:
    """Whether the same update left as it is, and would again."""
    if not asked.basis or asked.stay or asked.noise:
        return False
    return any(
        entry.get("basis") == asked.basis and not entry.get("secure_sum") and not entry.get("noise")
        for entry in entries
        if "arrays" in entry
    )


@dataclass(frozen=True)
class _Release:
    """One update as it counts: `clips` went into it.

    Entries of secure sums and of noise should say `own_clips` and `combinations`, since a masked
    vector shows neither.
    """

    stage: str
    clips: int
    combinations: float
    stay: int
    noise: float

    @classmethod
    def of_entry(cls, entry: Entry) -> _Release:
        summed, noise = entry.get("secure_sum"), entry.get("noise")
        return cls(
            stage=str(entry.get("stage")),
            clips=_whole(entry.get("own_clips", entry.get("clips"))),
            combinations=_whole(entry.get("combinations")) or _told(entry.get("arrays")),
            stay=_whole(summed.get("stay")) if isinstance(summed, Mapping) else 0,
            noise=_noise(noise) if isinstance(noise, Mapping) else 0.0,
        )

    def counted_noise(self, limits: ExposureLimits) -> float:
        """The multiplier that protects this device under its limits; 0 where that is none."""
        few = 0 < self.stay < limits.fewest_in_sum
        noise = self.noise / math.sqrt(self.stay) if few else self.noise
        unlimited = limits.epsilon is None and limits.share is not None
        return 0.0 if unlimited and noise < LEAST_NOISE else noise

    @classmethod
    def of_asked(cls, asked: Asked, clips: int) -> _Release:
        return cls(asked.stage, clips, asked.combinations, asked.stay, asked.noise)


def _releases(entries: Iterable[Entry]) -> list[_Release]:
    """What left, each content under each protection once; other entries are passed over."""
    different: dict[object, Entry] = {}
    for number, entry in enumerate(entries):
        if "arrays" in entry:
            content = entry.get("basis") or entry.get("sha256", number)
            different.setdefault((content, *_protection(entry)), entry)
    return [_Release.of_entry(entry) for entry in different.values()]


def _protection(entry: Entry) -> tuple[str, str]:
    """What a release was protected by; attempts at one sum are one, since one alone is revealed."""
    summed = entry.get("secure_sum")
    if isinstance(summed, Mapping):
        summed = {key: value for key, value in summed.items() if key != "session"}
    return repr(summed), repr(entry.get("noise"))


def _exposure(releases: list[_Release], clips: int, limits: ExposureLimits) -> Exposure:
    heads = [each for each in releases if each.stage != REFERENCE_STAGE]
    noised = [noise for each in heads if (noise := each.counted_noise(limits))]
    unhidden = [each for each in heads if not each.counted_noise(limits)]
    summed = [each for each in unhidden if each.stay >= limits.fewest_in_sum]
    bare = [each for each in unhidden if each.stay < limits.fewest_in_sum]
    return Exposure(
        rounds=len(heads),
        references=len(releases) - len(heads),
        clips=clips,
        most_clips=max((each.clips for each in releases), default=0),
        open_combinations=_total(bare),
        sum_combinations=_total(summed),
        fewest_in_sums=min((each.stay for each in summed), default=0),
        noised=len(noised),
        epsilon=_epsilon(limits.delta, noised),
    )


def _epsilon(delta: float, noised: list[float]) -> float:
    if not noised:
        return 0.0
    # Here, since it loads SciPy, which a device's status should not need.
    from common.privacy.gaussian import epsilon_of, mu_of

    return epsilon_of(delta, mu_of(noised))


def _total(releases: Iterable[_Release]) -> int:
    """Mixtures together; what can't be counted is taken for a full account of the clips."""
    return sum(
        int(each.combinations) if math.isfinite(each.combinations) else max(each.clips, 1)
        for each in releases
    )


def _told(arrays: object) -> float:
    """Mixtures that an entry's arrays tell: of the branch that tells most; infinite if unknown."""
    branches: dict[str, dict[str, tuple[int, ...]]] = {}
    try:
        for array in list(arrays):  # type: ignore[call-overload]
            branch, _, name = str(array["name"]).partition(".")
            branches.setdefault(branch, {})[name] = tuple(int(size) for size in array["shape"])
        return float(max(combinations(shapes) for shapes in branches.values()))
    except (KeyError, TypeError, ValueError, IndexError):
        return math.inf


def _noise(noise: Mapping[str, Any]) -> float:
    """The multiplier that an entry's noise counts for: none for noise that can be drawn again."""
    multiplier: Any = noise.get("multiplier")
    if not is_number(multiplier) or noise.get("seeded") is not False:
        return 0.0
    return max(0.0, float(multiplier))


def _whole(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _open_sentence(fits: bool, after: Exposure, limits: ExposureLimits) -> str:
    told = (
        f"after it {after.open_combinations} exact mixtures of this device's {after.clips} clips "
        f"would have left, {after.share:.0%} of what tells them all; it has to stay below "
        f"{limits.share:.0%}"
    )
    if fits:
        return f"takes part: {told}"
    return f"{DECLINES}{told}; secure aggregation or noise would allow more rounds"


def _sum_sentence(fits: bool, after: Exposure, limits: ExposureLimits) -> str:
    told = (
        f"after it {after.sum_combinations} exact mixtures of all members' clips would be known, "
        f"about {after.share_of_sums:.0%} of what tells them all; it has to stay "
        f"below {limits.share:.0%}"
    )
    return f"takes part: {told}" if fits else f"{DECLINES}{told}"


def _epsilon_sentence(fits: bool, after: Exposure, limits: ExposureLimits) -> str:
    told = (
        f"after it epsilon is {after.epsilon:.3g} at delta {limits.delta:g} over {after.noised} "
        f"round(s) of noise; the limit is {limits.epsilon:g}"
    )
    return f"takes part: {told}" if fits else f"{DECLINES}{told}"

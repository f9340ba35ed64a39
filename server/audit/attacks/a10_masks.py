"""A10: do masked vectors hide what is in them, and is their sum right?

A vector under a fresh mask is uniform modulo 2^32, whatever it masks; so is the difference of two
of them. Top and bottom byte are tested by chi-square, in as many classes as the vector has entries
for, vectors of one member and of one round also together, and by correlation with the plain update
where the auditor knows it. A reference's vector has two limbs, coarse steps first; both are tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.stats import chi2

from server.audit.finding import SUM, Attack, Outcome, Verdict, not_measurable
from server.audit.subject import Subject
from server.audit.transcript import Ring, Round, SecureSum, Vector

MEASURE = "masked vectors that are not uniform, or repeat a mask"
LUCK = 1e-6
BYTE = 256
A_CLASS = 5
"""Entries expected in each class: below that chi-square does not hold."""
FEWEST_ENTRIES = 64
"""Of a vector: 8 classes, enough to see that an update's entries are all near 0."""
FEWEST_TOGETHER = BYTE * A_CLASS
"""Of all vectors: enough for whole bytes."""


def unevenness(vector: Ring) -> float:
    """How likely bytes as uneven as these would be in a uniform vector: the smaller of two.

    1 for a vector that has too few entries for two classes.
    """
    classes = _classes(len(vector))
    if classes < 2:
        return 1.0
    narrow = np.uint32(BYTE // classes)
    parts = ((vector >> np.uint32(24)) // narrow, vector & np.uint32(classes - 1))
    return min(_chi_square(np.bincount(part.astype(np.int64), minlength=classes)) for part in parts)


def _classes(entries: int) -> int:
    """A power of 2 up to 256, with at least `A_CLASS` entries in each."""
    return min(BYTE, 1 << max(0, (entries // A_CLASS).bit_length() - 1))


def _chi_square(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    expected = counts.sum() / len(counts)
    statistic = float(np.square(counts - expected).sum() / expected)
    above = float(chi2.sf(statistic, len(counts) - 1))
    if len(counts) < BYTE:
        return above  # few classes are now and then filled all alike by luck
    return 2 * min(above, float(chi2.cdf(statistic, len(counts) - 1)))


def correlation(vector: Ring, plain: Vector) -> float:
    """Of a masked vector, read as signed numbers, with the plain one."""
    return float(np.corrcoef(vector.view(np.int32).astype(np.float64), plain)[0, 1])


def run(subject: Subject, view: str) -> Outcome:
    """Every vector, every pair of one round, every pair of one member's; what small ones say."""
    del view
    every = [one for each in subject.transcript.rounds for one in _each_sum(each)]
    rounds = [each for each in every if each.secure and each.secure.masked]
    if not rounds:
        return not_measurable(MEASURE, "the record has no masked vectors")
    problems = [text for text in _tested(rounds) if text]
    problems = problems or list(_together(rounds))
    sizes = [len(v) for each in rounds if each.secure for v in each.secure.masked.values()]
    if not problems and (min(sizes) < FEWEST_ENTRIES or sum(sizes) < FEWEST_TOGETHER):
        return not_measurable(
            MEASURE,
            f"vectors have {min(sizes)} entries or more, {sum(sizes)} together: fewer than "
            f"{FEWEST_ENTRIES}, or than {FEWEST_TOGETHER} together, tell nothing",
        )
    return Outcome(
        measure=MEASURE,
        figure=float(len(problems)),
        chance=0.0,
        threshold=0.0,
        verdict=Verdict.FAIL if problems else Verdict.PASS,
        meaning=f"{len(problems)} faults in {len(sizes)} masked vectors"
        + (f": {'; '.join(problems[:5])}." if problems else "; they tell nothing but their sum."),
        change="Draw a fresh mask for every round and member, mask before anything is sent, and "
        "have members sign their keys."
        if problems
        else "",
        details={"problems": problems, "vectors": len(sizes)},
    )


def _each_sum(each: Round) -> list[Round]:
    """The round once for every sum that was made of it."""
    if each.secure is None:
        return []
    return [replace(each, secure=one) for one in (*each.secure.earlier, each.secure)]


def _tested(rounds: Sequence[Round]) -> Iterator[str]:
    """All faults by name, and empty texts for what is right."""
    uneven = [
        {name: unevenness(vector) < LUCK for name, vector in each.secure.masked.items()}
        for each in rounds
        if each.secure
    ]
    for each, known in zip(rounds, uneven, strict=True):
        yield from _problems(each, known)
    yield from _repeated(rounds, uneven)
    yield _unsigned(rounds)


def _unsigned(rounds: Sequence[Round]) -> str:
    """Empty where every key was signed, or the record does not show keys."""
    found = [each.secure.unsigned for each in rounds if each.secure and each.secure.unsigned]
    names = sorted({name for names in found for name in names})
    if not names:
        return ""
    return (
        f"keys of {len(names)} devices came unsigned in {len(found)} rounds: the server can put "
        "its own in their place and take off all masks"
    )


def _problems(each: Round, uneven: Mapping[str, bool]) -> Iterator[str]:
    secure = each.secure
    if secure is None:
        return
    where = _where(each)
    for name, vector in secure.masked.items():
        if uneven[name]:
            yield f"the vector of {name} {where} is not uniform: it is not masked"
        plain = secure.plain.get(name)
        if plain is not None and abs(correlation(vector[: len(plain)], plain)) > _limit(plain):
            yield f"the vector of {name} {where} correlates with the plain update"
    good = [(name, vector) for name, vector in secure.masked.items() if not uneven[name]]
    for (other, second), (name, vector) in combinations(good, 2):
        if unevenness(vector - second) < LUCK:
            yield f"{name} and {other} used the same mask {where}"
    yield _wrong_sum(secure, where)


def _where(each: Round) -> str:
    return f"in round {each.number}"


def _together(rounds: Sequence[Round]) -> Iterator[str]:
    """Small vectors, of each member and of each round, as one: what shows in no single one."""
    by_member: dict[str, list[Ring]] = {}
    for each in rounds:
        vectors = each.secure.masked if each.secure else {}
        if _is_uneven(list(vectors.values())):
            yield f"the vectors of all members {_where(each)} are not uniform together"
        for name, vector in vectors.items():
            by_member.setdefault(name, []).append(vector)
    for name, several in sorted(by_member.items()):
        if _is_uneven(several):
            yield f"the vectors of {name} in all rounds are not uniform together"


def _is_uneven(several: Sequence[Ring]) -> bool:
    small = min((len(vector) for vector in several), default=0) < FEWEST_TOGETHER
    return small and len(several) > 1 and unevenness(np.concatenate(several)) < LUCK


def _limit(plain: Vector) -> float:
    """PRIVACY's 4 / sqrt(d), widened to one false alarm in a million vectors."""
    return 5 / float(np.sqrt(len(plain)))


def _wrong_sum(secure: SecureSum, where: str) -> str:
    """Empty where the sum is that of the plain updates, or these are not known."""
    if not secure.plain or not secure.step or not set(secure.members) <= set(secure.plain):
        return ""
    total = np.sum([secure.plain[name] for name in secure.members], axis=0)
    off = float(np.abs(secure.total[: len(total)] - total).max())
    bound = len(secure.members) * secure.step
    return f"the sum {where} is off by {off:.3g}, above {bound:.3g}" if off > bound else ""


def _repeated(rounds: Sequence[Round], uneven: Sequence[Mapping[str, bool]]) -> Iterator[str]:
    """Pairs of one member's vectors of one length, under one mask."""
    for (before, odd), (after, odder) in combinations(zip(rounds, uneven, strict=True), 2):
        if before.secure is None or after.secure is None:
            continue
        for name in before.secure.masked.keys() & after.secure.masked.keys():
            first, second = before.secure.masked[name], after.secure.masked[name]
            if odd[name] or odder[name] or first.shape != second.shape:
                continue
            if unevenness(second - first) < LUCK:
                yield f"{name} used the mask of round {before.number} again in {after.number}"


ATTACK = Attack(
    id="A10",
    title="Do masks hide single updates?",
    source="Bonawitz et al. (CCS 2017) for the protocol; tests of uniformity",
    views=(SUM,),
    run=run,
)

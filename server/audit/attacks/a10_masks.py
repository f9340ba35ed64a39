"""A10: do masked vectors hide what is in them, and is their sum right?

A vector under a fresh mask is uniform modulo 2^32, whatever it masks; so is the difference of two
of them. Bytes are tested by chi-square (top and bottom byte), vectors by correlation with the plain
update where the auditor knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.stats import chi2

from server.audit.finding import SUM, Attack, Outcome, Verdict, not_measurable
from server.audit.subject import Subject
from server.audit.transcript import Ring, Round, SecureSum, Vector

MEASURE = "masked vectors that are not uniform, or repeat a mask"
LUCK = 1e-6
FEWEST_ENTRIES = 1280
"""5 expected per byte: below that chi-square does not hold."""


def unevenness(vector: Ring) -> float:
    """How likely bytes as uneven as these would be in a uniform vector: the smaller of two."""
    parts = (vector >> np.uint32(24), vector & np.uint32(255))
    return min(_chi_square(np.bincount(part.astype(np.int64), minlength=256)) for part in parts)


def _chi_square(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    expected = counts.sum() / len(counts)
    statistic = float(np.square(counts - expected).sum() / expected)
    tail = min(
        float(chi2.sf(statistic, len(counts) - 1)), float(chi2.cdf(statistic, len(counts) - 1))
    )
    return 2 * tail


def correlation(vector: Ring, plain: Vector) -> float:
    """Of a masked vector, read as signed numbers, with the plain one."""
    return float(np.corrcoef(vector.view(np.int32).astype(np.float64), plain)[0, 1])


def run(subject: Subject, view: str) -> Outcome:
    """Every vector, every pair of one round, each member's vectors of rounds in turn."""
    del view
    rounds = [r for r in subject.transcript.rounds if r.secure and r.secure.masked]
    if not rounds:
        return not_measurable(MEASURE, "the record has no masked vectors")
    tested = [name for each in rounds for name in _problems(each)]
    tested += [*_repeated(rounds), _unsigned(rounds)]
    problems = [text for text in tested if text]
    vectors = sum(len(r.secure.masked) for r in rounds if r.secure)
    if min(len(v) for r in rounds if r.secure for v in r.secure.masked.values()) < FEWEST_ENTRIES:
        return not_measurable(MEASURE, f"vectors have fewer than {FEWEST_ENTRIES} entries")
    return Outcome(
        measure=MEASURE,
        figure=float(len(problems)),
        chance=0.0,
        threshold=0.0,
        verdict=Verdict.FAIL if problems else Verdict.PASS,
        meaning=f"{len(problems)} faults in {vectors} masked vectors"
        + (f": {'; '.join(problems[:5])}." if problems else "; they tell nothing but their sum."),
        change="Draw a fresh mask for every round and member, mask before anything is sent, and "
        "have members sign their keys."
        if problems
        else "",
        details={"problems": problems, "vectors": vectors},
    )


def _unsigned(rounds: list[Round]) -> str:
    """Empty where every key was signed, or the record does not show keys."""
    found = [each.secure.unsigned for each in rounds if each.secure and each.secure.unsigned]
    names = sorted({name for names in found for name in names})
    if not names:
        return ""
    return (
        f"keys of {len(names)} devices came unsigned in {len(found)} rounds: the server can put "
        "its own in their place and take off all masks"
    )


def _problems(each: Round) -> Iterator[str]:
    secure = each.secure
    if secure is None:
        return
    where = f"in round {each.number}"
    masked = list(secure.masked.items())
    for name, vector in masked:
        if unevenness(vector) < LUCK:
            yield f"the vector of {name} {where} is not uniform: it is not masked"
        plain = secure.plain.get(name)
        if plain is not None and abs(correlation(vector[: len(plain)], plain)) > _limit(plain):
            yield f"the vector of {name} {where} correlates with the plain update"
    for place, (name, vector) in enumerate(masked):
        for other, second in masked[:place]:
            if unevenness(vector - second) < LUCK and unevenness(vector) >= LUCK <= unevenness(
                second
            ):
                yield f"{name} and {other} used the same mask {where}"
    yield _wrong_sum(secure, where)


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


def _repeated(rounds: list[Round]) -> Iterator[str]:
    for before, after in pairwise(rounds):
        if before.secure is None or after.secure is None:
            continue
        for name in before.secure.masked.keys() & after.secure.masked.keys():
            pair = before.secure.masked[name], after.secure.masked[name]
            if pair[0].shape != pair[1].shape or min(map(unevenness, pair)) < LUCK:
                continue
            if unevenness(pair[1] - pair[0]) < LUCK:
                yield f"{name} used the mask of round {before.number} again in {after.number}"


ATTACK = Attack(
    id="A10",
    title="Do masks hide single updates?",
    source="Bonawitz et al. (CCS 2017) for the protocol; tests of uniformity",
    views=(SUM,),
    run=run,
)

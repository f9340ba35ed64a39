"""What attacks on membership share: rates at few false positives, limits and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from server.audit.finding import INDIVIDUAL, Outcome, Verdict, judged, not_measurable
from server.audit.statistics import Rate, area, bound_at, cluster_bootstrap, rate_at
from server.audit.subject import Subject
from server.audit.transcript import Vector

MEASURE: Final = "share of clips found out, at 0.1 % false alarms"
FEWEST_NEGATIVES: Final = 1000
FEW, SOME = 0.001, 0.01
PASS_AT: Final = {FEW: 0.005, SOME: 0.02}
FAIL_ABOVE: Final = {FEW: 0.01, SOME: 0.05}
LESS_EXPOSURE: Final = (
    "Turn on secure aggregation, keep 7 times the rounds well below a device's number of clips, or "
    "add differential privacy."
)


@dataclass(frozen=True)
class Scored:
    """One client's scores.

    Attributes:
        members, negatives: (clips,) higher for what looks like a member.
    """

    members: Vector = field(repr=False)
    negatives: Vector = field(repr=False)


def together(scored: Sequence[Scored]) -> tuple[Vector, Vector]:
    """All clients' scores: of members, of negatives."""
    return (
        np.concatenate([each.members for each in scored]),
        np.concatenate([each.negatives for each in scored]),
    )


def membership_outcome(
    subject: Subject,
    scored: Mapping[str, Scored],
    *,
    view: str,
    negatives: int,
    what: str,
    details: Mapping[str, Any],
) -> Outcome:
    """The verdict on scores by A3's and A4's limits.

    What passes has to be surely within the limits: few clips can say nothing of 1 in 100.

    Args:
        scored: by client.
        view: in which they were found; without other takes of the same people, what is found in
            sums and final heads is a person, not a clip, and no limit is for that.
        negatives: tests of a device and a clip that it was not trained on.
        what: completes "a clip that was trained on ...".
    """
    each = list(scored.values())
    members, others = together(each)
    if view != INDIVIDUAL and not subject.hard:
        return _person_only(members, others, details)
    if negatives < FEWEST_NEGATIVES:
        return not_measurable(
            MEASURE,
            f"{negatives} tests of clips that were not trained on are too few for 1 false alarm in "
            f"1000 ({FEWEST_NEGATIVES} are needed)",
            **details,
        )
    few, some = rate_at(members, others, FEW), rate_at(members, others, SOME)
    low = {FEW: few.interval[0], SOME: some.interval[0]}
    share = {FEW: few.share, SOME: some.share}
    interval = _interval(subject, each)
    high = {FEW: max(few.interval[1], interval[1]), SOME: some.interval[1]}
    verdict = judged(
        passes=all(share[r] <= PASS_AT[r] and high[r] <= FAIL_ABOVE[r] for r in share),
        fails=any(low[rate] > FAIL_ABOVE[rate] for rate in low),
    )
    against = "other takes of the same person" if subject.hard else "clips of other people"
    return Outcome(
        measure=MEASURE,
        figure=few.share,
        chance=FEW,
        interval=interval,
        threshold=FAIL_ABOVE[FEW],
        verdict=verdict,
        meaning=_words(few.share, some.share, against, what),
        change=LESS_EXPOSURE if verdict is not Verdict.PASS else "",
        details={
            **details,
            **_rates(few, some),
            "auc": area(members, others),
            "negatives": negatives,
            "negatives_are": against,
        },
    )


def _rates(few: Rate, some: Rate) -> dict[str, Any]:
    """Hits at 0.1 and at 1 % false alarms, for the details."""
    return {
        "tpr_at_0.1_percent": few.share,
        "tpr_at_1_percent": some.share,
        "tpr_intervals": {"0.1 %": few.interval, "1 %": some.interval},
        "hits": {"0.1 %": few.hits, "1 %": some.hits},
        "members": few.trials,
    }


def _person_only(members: Vector, others: Vector, details: Mapping[str, Any]) -> Outcome:
    likelier = area(members, others)
    outcome = not_measurable(
        MEASURE,
        "no other takes of the same people were kept off the devices (give some by --candidates)",
        **details,
        against_other_people={
            "auc": likelier,
            "tpr_at_1_percent": rate_at(members, others, SOME).share,
        },
    )
    told = (
        f" Against clips of other people, one of the devices' own looks the likelier in "
        f"{likelier:.0%} of pairs (chance 50%): neither sums nor heads are made to hide who took "
        "part."
    )
    return replace(outcome, meaning=outcome.meaning + told)


def _interval(subject: Subject, each: Sequence[Scored]) -> tuple[float, float]:
    """By client where there are several, else exact over clips."""
    members, others = together(each)
    if len(each) < 2:
        return rate_at(members, others, FEW).interval
    bound = bound_at(others, FEW)
    hits = np.array([(s.members > bound).sum() for s in each])
    sizes = np.array([len(s.members) for s in each])

    def figure(pick: npt.NDArray[np.int64]) -> float:
        return float(hits[pick].sum() / max(sizes[pick].sum(), 1))

    return cluster_bootstrap(figure, len(each), seed=subject.seed, purpose="membership")


def _words(few: float, some: float, against: str, what: str) -> str:
    return (
        f"Whoever holds a clip can tell for {few:.1%} of the clips that were trained on that they "
        f"were, with one false alarm in a thousand {against} ({some:.1%} with one in a hundred): a "
        f"clip that was trained on {what}."
    )

"""What an attack found: a figure beside chance, a verdict by fixed limits, and plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from server.audit.subject import Subject

INDIVIDUAL: Final = "individual"
SUM: Final = "sum"
FINAL: Final = "final"
BETWEEN: Final = " This lies between the limits: it neither passes nor fails."
VIEWS: Final = (INDIVIDUAL, SUM, FINAL)


class Verdict(StrEnum):
    """PASS and FAIL by the attack's limits; NOT_MEASURABLE where it can't tell, never a pass."""

    PASS = "pass"
    FAIL = "fail"
    NOT_MEASURABLE = "not measurable"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One attack in one view.

    Attributes:
        id: `A1`..`A12`, some with a letter.
        view: one of `VIEWS`.
        title: what was attempted.
        measure: what `figure` counts.
        figure, chance, interval, threshold: the figure, what guessing gives, its 95 % interval,
            and the limit beyond which it fails; None where there is none.
        verdict: see `Verdict`.
        meaning: for a person whose device took part.
        change: what to do about it; empty where there is nothing to do.
        source: where the attack is from.
        details: all else, JSON-ready.
    """

    id: str
    view: str
    title: str
    source: str
    measure: str
    figure: float | None
    chance: float | None
    interval: tuple[float, float] | None
    threshold: float | None
    verdict: Verdict
    meaning: str
    change: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an attack's own code says; the rest of a `Finding` is the attack's."""

    measure: str
    verdict: Verdict
    meaning: str
    figure: float | None = None
    chance: float | None = None
    interval: tuple[float, float] | None = None
    threshold: float | None = None
    change: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack.

    Attributes:
        id, title, source: see `Finding`.
        views: where it applies.
        run: plays it in one of its views.
    """

    id: str
    title: str
    source: str
    views: tuple[str, ...]
    run: Callable[[Subject, str], Outcome]

    def find(self, subject: Subject, view: str) -> Finding:
        """Play the attack in one of its views."""
        outcome = self.run(subject, view)
        return Finding(
            id=self.id,
            view=view,
            title=self.title,
            source=self.source,
            measure=outcome.measure,
            figure=outcome.figure,
            chance=outcome.chance,
            interval=outcome.interval,
            threshold=outcome.threshold,
            verdict=outcome.verdict,
            meaning=_in_full(outcome),
            change=outcome.change,
            details=outcome.details,
        )


def _in_full(outcome: Outcome) -> str:
    between = (
        outcome.verdict is Verdict.NOT_MEASURABLE
        and outcome.figure is not None
        and "reason" not in outcome.details
    )
    return outcome.meaning + (BETWEEN if between else "")


def not_measurable(measure: str, reason: str, **details: Any) -> Outcome:
    """An attack that can't tell, and why."""
    return Outcome(
        measure=measure,
        verdict=Verdict.NOT_MEASURABLE,
        meaning=f"This could not be measured: {reason}.",
        details={"reason": reason, **details},
    )


def judged(*, passes: bool, fails: bool) -> Verdict:
    """The verdict by an attack's two limits; what lies between them is neither."""
    if fails:
        return Verdict.FAIL
    return Verdict.PASS if passes else Verdict.NOT_MEASURABLE

"""A12: what else stands in the replies, beside the update?"""

from __future__ import annotations

from server.audit.finding import INDIVIDUAL, SUM, Attack, Outcome, Verdict, not_measurable
from server.audit.subject import Subject

MEASURE = "kinds of data in clear that no update needs"
HARMLESS = ("round", "specification")


def run(subject: Subject, view: str) -> Outcome:
    """Names of all numbers and arrays that are none of the specification's."""
    rounds = subject.transcript.rounds
    if view == SUM and not any(r.secure for r in rounds):
        return not_measurable(MEASURE, "the run had no secure aggregation")
    found: dict[str, int] = {}
    for each in rounds:
        expected = subject.transcript.final.specification.shapes(each.stage)
        for reply in each.received:
            extra = [f"number {n!r}" for n in reply.numbers if n not in HARMLESS]
            extra += [f"array {n!r}" for n in reply.arrays if n not in expected]
            extra += ["a single update"] if view == SUM else []
            for name in extra:
                found[name] = found.get(name, 0) + 1
    replies = sum(len(r.received) for r in rounds)
    told = "; ".join(f"{name[:60]} in {count} replies" for name, count in sorted(found.items())[:8])
    return Outcome(
        measure=MEASURE,
        figure=float(len(found)),
        chance=0.0,
        threshold=0.0,
        verdict=Verdict.FAIL if found else Verdict.PASS,
        meaning=f"In clear beside the update: {told}."
        if found
        else "Nothing else is told in clear.",
        change=_change(found),
        details={"found": found, "replies": replies},
    )


def _change(found: dict[str, int]) -> str:
    if not found:
        return ""
    if any(name.startswith("array") for name in found):
        return (
            "Send nothing but the arrays of the specification: the egress gate must refuse these."
        )
    return "Turn on secure aggregation, where weights are masked too, and report no metrics."


ATTACK = Attack(
    id="A12",
    title="What else is told in clear?",
    source="own",
    views=(INDIVIDUAL, SUM),
    run=run,
)

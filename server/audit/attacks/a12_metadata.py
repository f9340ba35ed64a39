"""A12: what else stands in the replies, beside the update?

Also round 0 is told here: its reference is no mixture of clips, but a device's own coarse centre
and spread of every feature, and for narrow features how they move together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from common.heads.specification import REFERENCE_STAGE
from server.audit.finding import INDIVIDUAL, SUM, Attack, Outcome, Verdict, not_measurable
from server.audit.reply_parts import HARMLESS
from server.audit.subject import Subject
from server.audit.transcript import Received, Round

MEASURE = "kinds of data in clear that no update needs"
NO_NUMBERS: Final = ("array", "bytes", "empty record")
"""How what is no number begins, as it is named."""


def run(subject: Subject, view: str) -> Outcome:
    """Names of all numbers and arrays that are none of the specification's."""
    rounds = subject.transcript.rounds
    if view == SUM and not any(r.secure for r in rounds):
        return not_measurable(MEASURE, "the run had no secure aggregation")
    found: dict[str, int] = {}
    for each in rounds:
        expected = set(subject.transcript.final.specification.shapes(each.stage))
        for reply in each.received:
            for name in _extra(reply, each, expected, view):
                found[name] = found.get(name, 0) + 1
    for reply in subject.transcript.unasked:
        for name in _any(reply):
            found[name] = found.get(name, 0) + 1
    replies = sum(len(r.received) for r in rounds) + len(subject.transcript.unasked)
    told = "; ".join(f"{name[:60]} in {count} replies" for name, count in sorted(found.items())[:8])
    beside = f"In clear beside the update: {told}." if found else "Nothing else is told in clear."
    return Outcome(
        measure=MEASURE,
        figure=float(len(found)),
        chance=0.0,
        threshold=0.0,
        verdict=Verdict.FAIL if found else Verdict.PASS,
        meaning=beside + _reference(rounds),
        change=_change(found),
        details={"found": found, "replies": replies},
    )


def _extra(reply: Received, each: Round, expected: set[str], view: str) -> Iterator[str]:
    clear = {name: value for name, value in reply.numbers.items() if name not in HARMLESS}
    yield from _entries(clear)
    yield from (f"array {name!r}" for name in reply.arrays if name not in expected)
    yield from reply.odd
    if view == SUM and expected & set(reply.arrays):
        yield "a single reference" if each.stage == REFERENCE_STAGE else "a single update"


def _any(reply: Received) -> Iterator[str]:
    """Everything in a reply to a test, which has nothing to tell."""
    told = (*_entries(reply.numbers), *(f"array {name!r}" for name in reply.arrays))
    yield from (f"{name} of a test" for name in told or reply.odd)


def _entries(numbers: Mapping[str, object]) -> Iterator[str]:
    for name, value in numbers.items():
        yield f"{'bytes' if _has_bytes(value) else 'number'} {name!r}"


def _has_bytes(value: object) -> bool:
    several = value if isinstance(value, list) else [value]
    return any(isinstance(each, bytes) for each in several)


def _reference(rounds: tuple[Round, ...]) -> str:
    """What round 0 told of single devices, in a sentence; empty where it told nothing."""
    replies = [r for each in rounds if each.stage == REFERENCE_STAGE for r in each.received]
    arrays = {name for reply in replies for name in reply.arrays}
    if not arrays:
        return ""
    together = ", and how they move together," if "reference.scatter" in arrays else ""
    return (
        f" Round 0 told each of {len(replies)} devices' own coarse centre and spread of every "
        f"feature{together} over all of its clips: no single clip, but a likeness of the person."
    )


def _change(found: dict[str, int]) -> str:
    if not found:
        return ""
    if any(name.startswith(NO_NUMBERS) for name in found):
        return (
            "Send nothing but the arrays of the specification: the egress gate must refuse these."
        )
    if "a single update" in found or "a single reference" in found:
        return "Let no update leave but under its masks, the reference of round 0 included."
    return "Turn on secure aggregation, where weights are masked too, and report no metrics."


ATTACK = Attack(
    id="A12",
    title="What else is told in clear?",
    source="own",
    views=(INDIVIDUAL, SUM),
    run=run,
)

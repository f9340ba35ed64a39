"""A11: are enough people in every sum?

A sum over few clips is as good as the clips: R rounds show 7 R combinations of all of the cohort's
clips. Two sums over the same head whose cohorts differ in few devices show these devices' own (So
et al., AAAI 2023; Pasquini, Francati and Ateniese, CCS 2022).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from server.audit.finding import SUM, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.subject import Subject
from server.audit.transcript import Round

MEASURE = "clips in the smallest cohort, per combination that was shown"
FEWEST_DEVICES, ENOUGH = 10, 4.0


def run(subject: Subject, view: str) -> Outcome:
    """The smallest cohort against all rounds' combinations; differenced cohorts."""
    del view
    rounds = [r for r in subject.transcript.head_rounds if r.members]
    if not rounds:
        return not_measurable(MEASURE, "no round brought an update")
    smallest = min(len(r.members) for r in rounds)
    differenced = list(_differenced(rounds))
    shown = (subject.classes - 1) * len(rounds)
    clips = _clips(subject, rounds)
    if clips is None and not differenced:
        return not_measurable(MEASURE, "how many clips devices have is not known", devices=smallest)
    ratio = None if clips is None else clips / shown
    short = ratio is not None and ratio < 1
    verdict = judged(
        passes=smallest >= FEWEST_DEVICES and ratio is not None and ratio >= ENOUGH,
        fails=short or bool(differenced),
    )
    return Outcome(
        measure=MEASURE,
        figure=ratio,
        threshold=1.0,
        verdict=verdict,
        meaning=f"{len(rounds)} rounds show {shown} combinations of the {clips} clips of the "
        f"smallest cohort ({smallest} devices)." + "".join(f" {text}." for text in differenced),
        change=""
        if verdict is Verdict.PASS
        else f"Ask at least {FEWEST_DEVICES} devices, with {ENOUGH:.0f} clips together for each of "
        "the combinations that the rounds show; never sum twice over the same head.",
        details={
            "devices": smallest,
            "clips": clips,
            "combinations": shown,
            "differenced": differenced,
        },
    )


def _clips(subject: Subject, rounds: list[Round]) -> int | None:
    if subject.candidates is None:
        return None
    return min(sum(len(subject.own(name)) for name in r.members) for r in rounds)


def _differenced(rounds: list[Round]) -> Iterator[str]:
    """Pairs of rounds over the same head with different cohorts."""
    seen: dict[str, Round] = {}
    for each in rounds:
        digest = hashlib.sha256()
        for name, array in sorted(each.head.arrays.items()):
            digest.update(name.encode() + array.tobytes())
        before = seen.setdefault(digest.hexdigest(), each)
        apart = set(before.members) ^ set(each.members)
        if before is not each and apart:
            yield (
                f"Rounds {before.number} and {each.number} were summed over the same head with "
                f"cohorts that differ in {len(apart)} device(s): {', '.join(sorted(apart)[:3])}"
            )


ATTACK = Attack(
    id="A11",
    title="Are enough people in every sum?",
    source="So et al. (AAAI 2023), Pasquini et al. (CCS 2022), Elkordy et al. (PoPETs 2023)",
    views=(SUM,),
    run=run,
)

"""A11: are enough people in every sum?

A sum over few clips is as good as the clips: R rounds show 7 R combinations of all of the cohort's
clips. Two sums over the same head whose cohorts differ in few devices show these devices' own (So
et al., AAAI 2023; Pasquini, Francati and Ateniese, CCS 2022). What devices tell of their features
in round 0 depends on no head at all, so that any two such sums are over the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.heads.digest import digest_of
from common.heads.specification import REFERENCE_STAGE
from server.audit.finding import SUM, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.subject import Subject
from server.audit.transcript import Round

MEASURE = "clips in the smallest cohort, per combination that was shown"
FEWEST_DEVICES, ENOUGH = 10, 4.0


def run(subject: Subject, view: str) -> Outcome:
    """The smallest cohort against all rounds' combinations; differenced cohorts."""
    del view
    every = [each for each in subject.transcript.rounds if each.members]
    rounds = [each for each in every if each.stage != REFERENCE_STAGE]
    if not rounds:
        return not_measurable(MEASURE, "no round brought an update")
    cohorts = [members for each in every for members in _cohorts(each)]
    smallest = min(map(len, cohorts))
    differenced = list(_differenced(every))
    shown = (subject.classes - 1) * sum(len(_cohorts(each)) for each in rounds)
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
    cohorts = [members for each in rounds for members in _cohorts(each)]
    return min(sum(len(subject.own(name)) for name in members) for members in cohorts)


def _cohorts(each: Round) -> list[tuple[str, ...]]:
    """Members of every sum that was made of a round; the last one's head went on."""
    earlier = each.secure.earlier if each.secure else ()
    return [*(tuple(sorted(one.members)) for one in earlier), each.members]


def _differenced(rounds: Sequence[Round]) -> Iterator[str]:
    """Pairs of sums over the same head with different cohorts."""
    seen: dict[str, tuple[Round, tuple[str, ...]]] = {}
    for each in rounds:
        for members in _cohorts(each):
            before, others = seen.setdefault(_basis(each), (each, members))
            apart = sorted(set(others) ^ set(members))
            if apart:
                yield (
                    f"{_named(before, each)} over the same {_what(each)} with cohorts that differ "
                    f"in {len(apart)} device(s): {', '.join(apart[:3])}"
                )


def _basis(each: Round) -> str:
    """What decides on a device's update, beside its clips."""
    return _what(each) if each.stage == REFERENCE_STAGE else digest_of(each.head.arrays)


def _what(each: Round) -> str:
    return "features" if each.stage == REFERENCE_STAGE else "head"


def _named(before: Round, after: Round) -> str:
    if before is after:
        return f"Round {after.number} was summed twice"
    return f"Rounds {before.number} and {after.number} were summed"


ATTACK = Attack(
    id="A11",
    title="Are enough people in every sum?",
    source="So et al. (AAAI 2023), Pasquini et al. (CCS 2022), Elkordy et al. (PoPETs 2023)",
    views=(SUM,),
    run=run,
)

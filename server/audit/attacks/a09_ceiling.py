"""A9: does any attack on membership do better than the claim of differential privacy allows?

T rounds with Gaussian noise of z times the clip are one Gaussian mechanism with mu = sqrt(T) / z,
so that no attack's true positives exceed Phi(Phi^-1(FPR) + mu) (Dong, Roth and Su, JRSS-B 2022).
The claim itself is looked at too: its noise has to be no one's to draw again, for every release
that was made, and its epsilon has to follow from it; a run that itself calls it void fails.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server.audit.finding import (
    INDIVIDUAL,
    VIEWS,
    Attack,
    Finding,
    Outcome,
    Verdict,
    not_measurable,
)
from server.audit.membership import FEW, SOME
from server.audit.statistics import ceiling, gaussian_epsilon
from server.audit.subject import Subject

MEASURE = "largest share of clips found out, at 1 % false alarms, of any attack"
ROUNDING = 0.99
"""How far below the exact epsilon a claim may be, which was rounded when it was written."""
KEYS = {FEW: "0.1 %", SOME: "1 %"}


def outcome(subject: Subject, view: str, found: Sequence[Finding]) -> Outcome:
    """All of `found` in this view against the ceiling."""
    claim = subject.transcript.claim
    if claim is None:
        return not_measurable(
            MEASURE, "the run claims no differential privacy: there is no ceiling"
        )
    if view == INDIVIDUAL and not claim.individual:
        return not_measurable(
            MEASURE, "the noise is on the sum, and the claim is none for who sees single updates"
        )
    wrong = claim_faults(subject)
    measured = [f for f in found if f.view == view and "tpr_intervals" in f.details]
    if wrong:
        return Outcome(
            measure=MEASURE,
            verdict=Verdict.FAIL,
            meaning=f"The claim does not hold: {'; '.join(wrong)}.",
            change="Draw noise from the operating system alone, noise every release or make none, "
            "and let the accountant count all of them.",
            details={"faults": wrong},
        )
    if not measured:
        return not_measurable(MEASURE, "no attack on membership could be measured")
    mu = float(np.sqrt(len(subject.sums)) / claim.noise_multiplier)
    tops = {rate: ceiling(rate, mu) for rate in KEYS}
    above = [
        f.id
        for f in measured
        if any(f.details["tpr_intervals"][KEYS[rate]][0] > tops[rate] for rate in KEYS)
    ]
    best = max(float(f.details["tpr_at_1_percent"]) for f in measured)
    return Outcome(
        measure=MEASURE,
        figure=best,
        chance=SOME,
        threshold=tops[SOME],
        verdict=Verdict.FAIL if above else Verdict.PASS,
        meaning=f"The best attack finds {best:.1%} of clips; the claimed noise allows no attack "
        f"more than {tops[SOME]:.1%}.",
        change=f"{', '.join(above)} does better than the claim allows: the noise or its accounting "
        "is broken."
        if above
        else "",
        details={"ceilings": {KEYS[rate]: tops[rate] for rate in KEYS}, "mu": mu, "above": above},
    )


def claim_faults(subject: Subject) -> list[str]:
    """What is wrong with the claim as it stands, whatever an attack finds."""
    transcript, claim = subject.transcript, subject.transcript.claim
    if claim is None:
        return []
    if claim.void:
        return [f"the run's own accountant calls it void, since {why}" for why in claim.void]
    found = []
    if claim.seeded:
        found.append("its noise came from a seed, and whoever has the seed takes it off again")
    releases = sum(bool(each.members) for each in transcript.rounds)
    if releases > claim.rounds:
        found.append(f"it counts {claim.rounds} releases, and {releases} were made")
    least = gaussian_epsilon(float(np.sqrt(claim.rounds)) / claim.noise_multiplier, claim.delta)
    if claim.epsilon < ROUNDING * least:
        found.append(
            f"{claim.rounds} releases with noise of {claim.noise_multiplier:g} times the clip cost "
            f"epsilon {least:.3g}, and {claim.epsilon:.3g} is claimed"
        )
    return found


def run(subject: Subject, view: str) -> Outcome:
    """Without other attacks' findings there is nothing to compare."""
    return outcome(subject, view, ())


ATTACK = Attack(
    id="A9",
    title="Does any attack beat the claimed privacy?",
    source="Dong, Roth and Su (JRSS-B 2022)",
    views=VIEWS,
    run=run,
)

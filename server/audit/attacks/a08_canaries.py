"""A8: is the noise as strong as the claim of differential privacy says?

Canary devices send known random directions at full length. How far the sums lean towards them,
against directions that nobody sent, estimates epsilon (Andrew et al., ICLR 2024; here the sum over
all rounds, in which canaries take part each time). Two bounds that hold with 95 % come from the
same scores: by Clopper and Pearson's intervals (Jagielski et al., NeurIPS 2020) and from one run
(Steinke et al., NeurIPS 2023); see `server.audit.bounds`. They are far below the estimate unless
there are very many canaries.
"""

from __future__ import annotations

import numpy as np

from common.randomness import generator
from server.audit.bounds import held_out
from server.audit.finding import SUM, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.statistics import gaussian_epsilon
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

MEASURE = "epsilon as estimated by canary devices"
FEWEST = 20
ALLOWANCE = 1.25
LEAST = 0.5
"""Of the claim: what canaries show that are in every sum under noise of the claimed strength."""
UNSEEN = (
    " So little of the canaries shows that they may have been in no sum, or shortened before: that "
    "says nothing of the noise."
)


def leanings(steps: list[Step], directions: Vector) -> Vector:
    """(directions,) inner products with the sum of all rounds.

    Args:
        steps: what was released in each round.
        directions: (directions, parameters) of length 1.
    """
    total = np.sum([np.concatenate([s.weight.ravel(), s.bias]) for s in steps], axis=0)
    return np.asarray(directions @ total)


def estimated_epsilon(sent: Vector, unsent: Vector, delta: float) -> float:
    """A point estimate, not a bound: both groups as Gaussians of one spread."""
    spread = float(np.concatenate([sent - sent.mean(), unsent - unsent.mean()]).std(ddof=2))
    return gaussian_epsilon(float(sent.mean() - unsent.mean()) / max(spread, 1e-300), delta)


def run(subject: Subject, view: str) -> Outcome:
    """The estimate against the claim."""
    del view
    claim = subject.transcript.claim
    if claim is None:
        return not_measurable(
            MEASURE, "the run claims no differential privacy, epsilon is infinite"
        )
    if claim.void:
        return not_measurable(MEASURE, f"nothing is claimed any more, since {claim.void[0]}")
    if subject.canaries is None or len(subject.canaries) < FEWEST:
        return not_measurable(MEASURE, f"the run had no {FEWEST} canary devices")
    size = subject.canaries.shape
    fresh = generator(subject.seed, "audit unsent canaries").normal(
        size=(max(1000, size[0]), size[1])
    )
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    sent, unsent = (leanings(subject.sums, rows) for rows in (subject.canaries, fresh))
    estimate = estimated_epsilon(sent, unsent, claim.delta)
    by_rates, by_one_run = held_out(sent, unsent, claim.delta)
    low = max(by_rates, by_one_run)
    seen = estimate >= LEAST * claim.epsilon
    verdict = judged(
        passes=seen and estimate <= ALLOWANCE * claim.epsilon and low <= claim.epsilon,
        fails=estimate > ALLOWANCE * claim.epsilon or low > claim.epsilon,
    )
    return Outcome(
        measure=MEASURE,
        figure=estimate,
        chance=0.0,
        threshold=ALLOWANCE * claim.epsilon,
        verdict=verdict,
        meaning=f"The noise lets through what epsilon {estimate:.1f} would (at least {low:.1f} "
        f"with 95 % confidence); {claim.epsilon:.1f} is claimed." + ("" if seen else UNSEEN),
        change=""
        if verdict is not Verdict.FAIL
        else "The noise is weaker than claimed: look for noise that is too small, reused or drawn "
        "from a seed, or a clip that is not applied.",
        details={
            "claimed": claim.epsilon,
            "lower_bound": low,
            "lower_bounds": {"rates": by_rates, "one run": by_one_run},
            "canaries": size[0],
            **({} if seen else {"reason": "the canaries hardly show in the sums"}),
        },
    )


ATTACK = Attack(
    id="A8",
    title="Is the noise as strong as claimed?",
    source="Andrew et al. (ICLR 2024), Jagielski et al. (NeurIPS 2020), Steinke et al. (NeurIPS "
    "2023)",
    views=(SUM,),
    run=run,
)

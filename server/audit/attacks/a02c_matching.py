"""A2c: clips' features whose training would give exactly what was sent, for very small devices.

Training is played again, step by step, from features that are guessed; these are moved until the
updates of the first rounds come out (gradient matching: Zhu, Liu and Han, NeurIPS 2019; Geiping et
al., NeurIPS 2020; through several local steps: Dimitrov et al., TMLR 2022). Labels are taken to be
known, as A1 nearly finds them. Guesses start at public people's class means and only move in the
span of what was sent, where all that is told of them lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from common.randomness import generator
from server.audit.attacks.a01_labels import FEWEST_PUBLIC, class_means
from server.audit.finding import INDIVIDUAL, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.statistics import mean_interval
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

MEASURE: Final = "centred cosine of rebuilt and true features, each with its best match"
MOST_CLIPS: Final = 16
MOST_ROUNDS: Final = 4
MOST_DEVICES: Final = 6
ITERATIONS: Final = 200
PRIOR: Final = 1e-4
STRETCH: Final = 3.0
"""Directions that updates show are those along which people's features vary most."""
PASS_AT, FAIL_ABOVE = 0.3, 0.9
Labels = npt.NDArray[np.int64]


def rebuild(
    sent: Sequence[Step],
    moves: Sequence[Step],
    labels: Labels,
    start: Vector,
    *,
    epochs: int,
    spread: float = 1.0,
) -> Vector:
    """Features of which full-batch descent makes the given moves, as nearly as can be found.

    Args:
        sent: classifiers at the start of the rounds.
        moves: changes in the same rounds.
        labels: (clips,).
        start: (clips, dimension) first guesses, no two alike.
        epochs: steps of descent in a round; their length is found with the features.
        spread: about how far features lie from the guesses, along one direction.
    """
    rows = np.concatenate([move.weight for move in moves])
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    basis = directions[sizes > 1e-9 * max(sizes[0], 1e-300)]
    inside = torch.from_numpy(start @ basis.T)
    scale = STRETCH * spread
    outside = start - inside.numpy() @ basis
    fixed = [torch.from_numpy(s.weight @ outside.T + s.bias[:, None]) for s in sent]
    heads = [torch.from_numpy(s.weight @ basis.T) for s in sent]
    wanted = [(torch.from_numpy(m.weight @ basis.T), torch.from_numpy(m.bias)) for m in moves]
    given = torch.from_numpy(labels)
    shift = torch.zeros_like(inside, requires_grad=True)
    lengths = torch.zeros(len(moves), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [shift, lengths],
        max_iter=ITERATIONS,
        history_size=20,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )
    base = 1.0 / float(1.0 + np.square(start).sum(axis=1).mean())

    def loss() -> Tensor:
        optimiser.zero_grad()
        features = inside + scale * shift
        total = PRIOR * shift.square().mean()
        for place, (weight, bias) in enumerate(wanted):
            step = base * lengths[place].exp()
            made = _descended(heads[place], fixed[place], features, given, step, epochs)
            size = weight.square().sum() + bias.square().sum()
            off = (made[0] - weight).square().sum() + (made[1] - bias).square().sum()
            total = total + off / size
        total.backward()
        return total

    optimiser.step(loss)
    found = (inside + scale * shift).detach().numpy()
    return np.asarray(outside + found @ basis)


def _descended(
    head: Tensor, fixed: Tensor, features: Tensor, labels: Tensor, step: Tensor, epochs: int
) -> tuple[Tensor, Tensor]:
    """Change of the classifier inside the span, and of its bias, after `epochs` steps.

    Args:
        head: (classes, span) the classifier's rows in the span.
        fixed: (classes, clips) logits of what lies outside of it, bias included.
        features: (clips, span).
    """
    weight, bias = torch.zeros_like(head), torch.zeros(len(head), dtype=head.dtype)
    one_hot = torch.eye(len(head), dtype=head.dtype)[labels]
    for _ in range(epochs):
        logits = fixed.T + features @ (head + weight).T + bias
        error = (logits.softmax(dim=1) - one_hot) / len(labels)
        weight = weight - step * error.T @ features
        bias = bias - step * error.sum(dim=0)
    return weight, bias


def matched(found: Vector, truth: Vector, centre: Vector) -> Vector:
    """(clips,) centred cosines of true features with the rebuilt ones, best one-to-one matching."""
    a, b = (side - centre for side in (truth, found))
    lengths = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    likeness = a @ b.T / np.maximum(lengths, 1e-300)
    rows, columns = linear_sum_assignment(-likeness)
    return np.asarray(likeness[rows, columns])


def run(subject: Subject, view: str) -> Outcome:
    """Small devices' clips against what can be rebuilt; another device's clips for comparison."""
    del view
    if subject.candidates is None or len(subject.public) < FEWEST_PUBLIC:
        return not_measurable(
            MEASURE, f"it needs {FEWEST_PUBLIC} clips of people who took no part to start from"
        )
    small = [n for n in subject.steps if 0 < len(subject.own(n)) <= MOST_CLIPS][:MOST_DEVICES]
    if len(small) < 2:
        return not_measurable(
            MEASURE, f"it is played on devices of at most {MOST_CLIPS} clips, and needs two"
        )
    means = class_means(subject)
    own, other = {}, []
    for place, name in enumerate(small):
        found = _rebuilt(subject, name, means)
        features = subject.inputs[subject.own(name)]
        own[name] = matched(found, features, subject.centre)
        strange = subject.inputs[subject.own(small[place - 1])][: len(found)]
        other.append(matched(found, strange, subject.centre))
    return _outcome(subject, own, np.concatenate(other))


def _rebuilt(subject: Subject, name: str, means: Vector) -> Vector:
    steps = subject.steps[name][:MOST_ROUNDS]
    labels = subject.labels[subject.own(name)]
    draws = generator(subject.seed, "audit matching", client=name)
    spread = float(subject.inputs[subject.public].std(axis=0).mean())
    start = means[labels] + 0.1 * spread * draws.normal(size=(len(labels), subject.dimension))
    sent = [subject.sent[step.round] for step in steps]
    epochs = subject.transcript.plan.epochs
    return rebuild(sent, steps, labels, start, epochs=epochs, spread=spread)


def _outcome(subject: Subject, own: dict[str, Vector], other: Vector) -> Outcome:
    every = np.concatenate(list(own.values()))
    figure, chance = float(every.mean()), float(other.mean())
    hits, by_accident = int((every > FAIL_ABOVE).sum()), int((other > FAIL_ABOVE).sum())
    fails = hits > by_accident
    verdict = judged(passes=figure - max(chance, 0.0) <= PASS_AT and not fails, fails=fails)
    return Outcome(
        measure=MEASURE,
        figure=figure,
        chance=chance,
        interval=mean_interval(
            [float(each.mean()) for each in own.values()], seed=subject.seed, purpose="matching"
        ),
        threshold=FAIL_ABOVE,
        verdict=verdict,
        meaning=f"From what very small devices sent, {hits} of {len(every)} clips' features are "
        f"rebuilt almost exactly (likeness above {FAIL_ABOVE:g}), and all of them with a likeness "
        f"of {figure:.2f} on average (another device's clips: {chance:.2f}).",
        change=""
        if verdict is Verdict.PASS
        else "Let no device take part with so few clips, or only under secure aggregation or with "
        "differential privacy.",
        details={
            "clips": hits,
            "by_accident": by_accident,
            "of": len(every),
            "devices": {name: float(each.mean()) for name, each in own.items()},
        },
    )


ATTACK = Attack(
    id="A2c",
    title="Can a small device's clips be rebuilt by playing its training again?",
    source="Zhu et al. (NeurIPS 2019), Geiping et al. (NeurIPS 2020), Dimitrov et al. (TMLR 2022)",
    views=(INDIVIDUAL,),
    run=run,
)

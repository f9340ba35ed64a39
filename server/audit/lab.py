"""A made-up fleet with known leaks: the case with a known answer that attacks are tested on.

People's clip features are nonnegative like a backbone's rectified activations: a mean, a face of
their own, expressions, their own way of showing them, what differs from take to take, and noise.
Devices train the population branch by minibatch SGD. All of it is synthetic; ranks and spans carry
over to real features, levels of accuracy and recognition need not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.clips import ClipSet, make_clip_set
from common.heads.specification import BRANCHES, HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.heads.standardise import exact_reference, power
from common.heads.universal import UniversalHead, initial_head
from common.privacy.release import flat
from common.randomness import generator
from common.settings import FederationPlan
from server.audit.shadow import Labels, LinearTrainer, Vector, plan_trainer
from server.audit.softmax import softmax
from server.audit.statistics import gaussian_epsilon
from server.audit.subject import Subject, classifier_inputs
from server.audit.transcript import Claim, Received, Ring, Round, SecureSum, Transcript
from server.audit.truth import Candidates, pseudonym_of

CLASSES = 8
STEP = 2.0**-20
Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A made-up fleet.

    Attributes:
        seed: of everything but differential-privacy noise.
        clients: devices, one person each.
        clips: that a device trains on.
        other_takes: further clips of each device's person, which it does not train on; 0 for one
            and a half times `clips`.
        rounds: head rounds.
        public: people without a device, with 60 clips each.
        dimension: of a feature.
        skewed: whether people's expressions are unevenly many.
        epochs, batch, rate: of local SGD; `rate` as a multiple of 1 / mean squared input norm.
        fleet: whether devices train as Mien's own do, in full batches of all clips; then `batch`
            counts for nothing.
        secure: whether only sums are kept.
        masked: whether masked vectors are kept beside the sums, and what they hide.
        noise_multiplier, clip: of Gaussian noise on each round's sum, per device's update clipped
            to `clip` (L2, both arrays of the branch together); 0 and infinity for none.
        individual_noise: whether each device's own update has that noise, in place of the sum.
        canaries: further devices, whose updates are random directions of length `clip`.
    """

    seed: int = 0
    clients: int = 24
    clips: int = 83
    other_takes: int = 0
    rounds: int = 20
    public: int = 16
    dimension: int = 1280
    skewed: bool = True
    epochs: int = 5
    batch: int = 32
    rate: float = 1.0
    fleet: bool = False
    secure: bool = False
    masked: bool = False
    noise_multiplier: float = 0.0
    clip: float = float("inf")
    individual_noise: bool = False
    canaries: int = 0


def make_people(lab: Lab, counts: Mapping[str, int]) -> dict[str, ClipSet]:
    """Clips of made-up people: `counts` says how many each has."""
    draws = generator(lab.seed, "audit lab world")
    width = lab.dimension
    basis = {
        name: draws.normal(size=(rank, width)) / np.sqrt(rank)
        for name, rank in (("face", 48), ("own", 64), ("take", 96))
    }
    basis["take"] *= np.sqrt(96 / (1 + np.arange(96.0)))[:, None] / 2
    mean, expressions = draws.normal(size=width) - 1, 0.5 * draws.normal(size=(CLASSES, width))
    made = {}
    for person, count in counts.items():
        own = generator(lab.seed, "audit lab person", user=person)
        face = 0.6 * own.normal(size=48) @ basis["face"]
        shown = expressions + 0.4 * own.normal(size=(CLASSES, 64)) @ basis["own"]
        concentration = 10.0 ** own.uniform(-0.3, 0.7) if lab.skewed else 1e6
        shares = own.dirichlet(np.full(CLASSES, concentration))
        labels = own.choice(CLASSES, size=count, p=shares)
        activation = (
            mean + face + shown[labels] + 0.6 * own.normal(size=(count, 96)) @ basis["take"]
        )
        activation += 0.5 * own.normal(size=(count, width))
        features = np.logaddexp(0, activation).astype(np.float32)
        names = [f"{person}/{i:03d}" for i in range(count)]
        made[person] = make_clip_set(names, [person] * count, labels.tolist(), list(features))
    return made


def sgd_trainer(lab: Lab) -> LinearTrainer:
    """Minibatch SGD of softmax regression."""

    def train(
        weight: Vector, bias: Vector, inputs: Vector, labels: Labels, draws: np.random.Generator
    ) -> tuple[Vector, Vector]:
        w, b = weight.copy(), bias.copy()
        step = lab.rate / (1 + float(np.square(inputs).sum(axis=1).mean()))
        wanted = np.eye(len(b))[labels]
        for _ in range(lab.epochs):
            order = draws.permutation(len(inputs))
            for start in range(0, len(order), lab.batch):
                some = order[start : start + lab.batch]
                error = softmax(inputs[some] @ w.T + b) - wanted[some]
                w -= step / len(some) * error.T @ inputs[some]
                b -= step / len(some) * error.sum(axis=0)
        return w - weight, b - bias

    return train


def play(lab: Lab) -> Subject:
    """A whole run of the fleet, ready to be attacked."""
    devices = [f"member-{i:02d}" for i in range(lab.clients)]
    outside = [f"public-{i:02d}" for i in range(lab.public)]
    extra = lab.other_takes or round(1.5 * lab.clips)
    counts = dict.fromkeys(devices, lab.clips + extra) | dict.fromkeys(outside, 60)
    people = make_people(lab, counts)
    head = _referenced(lab, [people[name] for name in outside or devices])
    rows = {
        name: (classifier_inputs(head, own), own.labels)
        for name in devices
        for own in (people[name].select(range(lab.clips)),)
    }
    plan = lab_plan(lab)
    trainer = plan_trainer(plan) if lab.fleet else sgd_trainer(lab)
    canaries = _canaries(lab, head.specification)
    rounds, final = _rounds(lab, head, rows, trainer, canaries)
    candidates = _candidates(lab, people, devices)
    return Subject(
        Transcript(plan, tuple(rounds), final, _claim(lab)), candidates, trainer, canaries=canaries
    )


def lab_plan(lab: Lab) -> FederationPlan:
    """What the server tells its devices."""
    return FederationPlan(
        name="lab",
        rounds=lab.rounds,
        epochs=lab.epochs,
        learning_rate=lab.rate,
        l2=0.0,
        memory=0,
        seed=lab.seed,
    )


def _referenced(lab: Lab, known: Sequence[ClipSet]) -> UniversalHead:
    specification = HeadSpecification(
        kind="logistic", dimension=lab.dimension, features="synthetic: audit lab"
    )
    reference = exact_reference([power(clips.frames) for clips in known])
    head = initial_head(specification, lab.seed)
    told = {
        "reference.centre": reference.centre.astype(np.float32),
        "reference.spread": reference.spread.astype(np.float32),
    }
    return replace(head, arrays={**head.arrays, **told})


def _candidates(lab: Lab, people: Mapping[str, ClipSet], devices: Sequence[str]) -> Candidates:
    """Clips beyond the first `lab.clips` of a member are the other takes."""
    owner = {name: pseudonym_of(place) for place, name in enumerate(devices)}
    sets = list(people.values())
    together = make_clip_set(
        [name for clips in sets for name in clips.names],
        [user for clips in sets for user in clips.users],
        [int(label) for clips in sets for label in clips.labels],
        [frame for clips in sets for frame in clips.frames],
    )
    trained = np.concatenate([np.arange(len(clips)) < lab.clips for clips in sets])
    return Candidates(together, tuple(owner.get(user, "") for user in together.users), trained)


def _canaries(lab: Lab, specification: HeadSpecification) -> Vector | None:
    """(canaries, parameters of the branch) unit vectors."""
    if not lab.canaries:
        return None
    size = specification.classes * (specification.dimension + 1)
    drawn = generator(lab.seed, "audit lab canaries").normal(size=(lab.canaries, size))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _rounds(
    lab: Lab,
    head: UniversalHead,
    rows: Mapping[str, tuple[Vector, Labels]],
    trainer: LinearTrainer,
    canaries: Vector | None,
) -> tuple[list[Round], UniversalHead]:
    # the operating system's randomness: a seeded run has no differential privacy
    noise = np.random.default_rng()
    rounds = [Round(REFERENCE_STAGE, 0, head, ())]
    for number in range(1, lab.rounds + 1):
        moves = {
            pseudonym_of(place): _update(lab, head, *data, trainer, noise, (number, place))
            for place, data in enumerate(rows.values())
        }
        total = sum(moves.values(), start=np.zeros(next(iter(moves.values())).shape))
        if canaries is not None:
            total = total + lab.clip * canaries.sum(axis=0)
        if lab.noise_multiplier and not lab.individual_noise:
            total = total + noise.normal(scale=lab.noise_multiplier * lab.clip, size=total.shape)
        rounds.append(_recorded(lab, head, number, moves, total))
        head = _moved(head, total / (len(moves) + (0 if canaries is None else len(canaries))))
    return rounds, head


def _update(
    lab: Lab,
    head: UniversalHead,
    inputs: Vector,
    labels: Labels,
    trainer: LinearTrainer,
    noise: np.random.Generator,
    place: tuple[int, int],
) -> Vector:
    """One device's change as one vector, rounded to the wire's float32."""
    weight, bias = (head.arrays[f"population.{name}"].astype(float) for name in ("weight", "bias"))
    draws = generator(lab.seed, "audit lab batches", round=place[0], client=place[1])
    move = np.concatenate([part.ravel() for part in trainer(weight, bias, inputs, labels, draws)])
    if np.isfinite(lab.clip):
        move *= min(1.0, lab.clip / max(float(np.linalg.norm(move)), 1e-300))
    if lab.noise_multiplier and lab.individual_noise:
        move += noise.normal(scale=lab.noise_multiplier * lab.clip, size=move.shape)
    return np.asarray(move.astype(np.float32).astype(np.float64))


def _recorded(
    lab: Lab, head: UniversalHead, number: int, moves: Mapping[str, Vector], total: Vector
) -> Round:
    if lab.secure:
        return Round(HEAD_STAGE, number, head, (), _summed(lab, head, moves, total))
    told = head.specification.number
    received = tuple(
        Received(
            name,
            _arrays(head, move),
            {"num-examples": lab.clips, "round": number, "specification": told},
        )
        for name, move in moves.items()
    )
    by_server = lab.noise_multiplier and not lab.individual_noise
    noised = _summed(replace(lab, masked=False), head, moves, total) if by_server else None
    return Round(HEAD_STAGE, number, head, received, noised=noised)


def _summed(lab: Lab, head: UniversalHead, moves: Mapping[str, Vector], total: Vector) -> SecureSum:
    """The sum, and perhaps vectors under masks that cancel; these are never drawn from a seed."""
    specification = head.specification
    vectors = {n: flat(specification, HEAD_STAGE, _arrays(head, move)) for n, move in moves.items()}
    whole = flat(specification, HEAD_STAGE, _arrays(head, total))
    if not lab.masked:
        return SecureSum(tuple(moves), whole)
    random, first = np.random.default_rng(), next(iter(vectors))
    masks = {
        name: random.integers(2**32, size=len(whole), dtype=np.uint32)
        for name in vectors
        if name != first
    }
    total_mask = np.sum(list(masks.values()), axis=0, dtype=np.uint32)
    masks[first] = np.zeros_like(total_mask) - total_mask
    masked = {name: encoded(vector) + masks[name] for name, vector in vectors.items()}
    exact = not (lab.noise_multiplier or lab.canaries)
    return SecureSum(tuple(moves), whole, masked, vectors if exact else {}, STEP)


def encoded(plain: Vector) -> Ring:
    """A vector as numbers modulo 2^32, `STEP` apart."""
    return (np.rint(plain / STEP).astype(np.int64) & 0xFFFFFFFF).astype(np.uint32)


def _arrays(head: UniversalHead, move: Vector) -> dict[str, Vector]:
    """The branch's arrays; the user branch stays where it is: the lab does not train it."""
    shapes = head.specification.branch_shapes()
    cut = int(np.prod(shapes["weight"]))
    arrays = {f"{b}.{n}": np.zeros(shape) for b in BRANCHES for n, shape in shapes.items()}
    arrays["population.weight"] = move[:cut].reshape(shapes["weight"])
    arrays["population.bias"] = move[cut:]
    return arrays


def _moved(head: UniversalHead, mean: Vector) -> UniversalHead:
    moves = _arrays(head, mean)
    arrays = {n: (head.arrays[n] + moves[n]).astype(np.float32) for n in moves}
    return replace(head, arrays={**head.arrays, **arrays})


def _claim(lab: Lab) -> Claim | None:
    if not lab.noise_multiplier:
        return None
    delta = 1e-5
    releases = lab.rounds + 1  # the reference counts as one, though here no device told it
    epsilon = gaussian_epsilon(np.sqrt(releases) / lab.noise_multiplier, delta)
    return Claim(
        lab.noise_multiplier,
        lab.clip,
        delta,
        epsilon,
        releases,
        individual=lab.individual_noise,
    )

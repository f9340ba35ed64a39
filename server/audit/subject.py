"""One run as attacks see it: the population branch's updates, and candidates as its inputs.

The population branch reads clips by the fleet's reference, which the server knows; it is what all
attacks go for. The user branch reads them by the user's own statistics, which no server has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.clips import ClipSet
from common.heads.kinds import descriptor
from common.heads.universal import UniversalHead, branch_batch, clip_rows
from common.randomness import generator
from server.audit.shadow import LinearTrainer
from server.audit.transcript import Received, Round, Transcript, Vector, common_sum
from server.audit.truth import Candidates

BRANCH = "population"


@dataclass(frozen=True)
class Step:
    """A change of the population branch's classifier in one round.

    Attributes:
        round: its number.
        weight: (classes, dimension).
        bias: (classes,).
    """

    round: int
    weight: Vector = field(repr=False)
    bias: Vector


@dataclass(frozen=True)
class Subject:
    """What attacks get.

    Attributes:
        transcript: what the server has.
        candidates: clips with known membership; None where nothing is known.
        trainer: how devices train, as the server knows from the plan.
        seed: of the auditor's own draws.
        canaries: see `server.audit.attacks.a08_canaries`.
    """

    transcript: Transcript
    candidates: Candidates | None
    trainer: LinearTrainer
    seed: int = 0
    canaries: Vector | None = None

    @cached_property
    def steps(self) -> Mapping[str, list[Step]]:
        """Each device's own changes, by pseudonym, in the rounds' order."""
        found: dict[str, list[Step]] = {}
        for each in self.transcript.head_rounds:
            for reply in each.received:
                if _usable(reply, each):
                    found.setdefault(reply.pseudonym, []).append(_step(each.number, reply.arrays))
        return dict(sorted(found.items()))

    @cached_property
    def sums(self) -> list[Step]:
        """Sums over each round's devices: what secure aggregation shows, or would show."""
        found = []
        for each in self.transcript.head_rounds:
            usable = [reply for reply in each.received if _usable(reply, each)]
            specification = each.head.specification
            secure = each.secure or each.noised
            arrays = secure.arrays(specification, each.stage) if secure else common_sum(usable)
            if f"{BRANCH}.weight" in arrays:
                found.append(_step(each.number, arrays))
        return found

    @cached_property
    def sent(self) -> Mapping[int, Step]:
        """The classifier as it was sent out, by round."""
        return {
            each.number: _step(each.number, each.head.arrays)
            for each in self.transcript.head_rounds
        }

    @cached_property
    def final(self) -> Step:
        """The classifier after the last round."""
        return _step(len(self.transcript.rounds), self.transcript.final.arrays)

    @property
    def members(self) -> tuple[str, ...]:
        """Pseudonyms of who took part."""
        return self.transcript.pseudonyms

    @property
    def dimension(self) -> int:
        """Length of an input of the classifier."""
        return self.transcript.final.specification.dimension

    @property
    def classes(self) -> int:
        """Number of expressions."""
        return self.transcript.final.specification.classes

    @cached_property
    def inputs(self) -> Vector:
        """(clips, dimension) candidates as the population branch's classifier reads them."""
        clips = self.known.clips
        return classifier_inputs(self.transcript.final, clips)

    @property
    def known(self) -> Candidates:
        """The candidates, where there must be some."""
        if self.candidates is None:
            raise ValueError("no candidates")
        return self.candidates

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(clips,) expressions of candidates."""
        return self.known.clips.labels

    @cached_property
    def centre(self) -> Vector:
        """(dimension,) mean input of people who took no part, else of all candidates."""
        chosen = self.public if len(self.public) else np.arange(len(self.labels))
        return np.asarray(self.inputs[chosen].mean(axis=0))

    def as_sent(self, step: Step, draws: np.random.Generator) -> Step:
        """A shadow device's change, clipped and noised as devices say they do."""
        claim = self.transcript.claim
        if claim is None:
            return step
        size = float(np.sqrt(np.square(step.weight).sum() + np.square(step.bias).sum()))
        shrink = min(1.0, claim.clip / max(size, 1e-300))
        spread = claim.noise_multiplier * claim.clip if claim.individual else 0.0
        weight, bias = (
            shrink * part + draws.normal(scale=spread, size=part.shape)
            for part in (step.weight, step.bias)
        )
        return Step(step.round, weight, bias)

    def own(self, pseudonym: str) -> npt.NDArray[np.int64]:
        """Candidates that this device trained on."""
        return np.flatnonzero((self.known.owner_of == pseudonym) & self.known.trained)

    def other_takes(self, pseudonym: str) -> npt.NDArray[np.int64]:
        """Candidates of the device's users that it did not train on."""
        return np.flatnonzero((self.known.owner_of == pseudonym) & ~self.known.trained)

    def gallery(self, pseudonym: str, size: int) -> npt.NDArray[np.int64]:
        """Other takes of the person where there are some, else clips that were trained on."""
        other = self.other_takes(pseudonym)
        return (other if len(other) else self.own(pseudonym))[:size]

    @cached_property
    def public(self) -> npt.NDArray[np.int64]:
        """Candidates of people who took no part."""
        return np.flatnonzero(~np.isin(self.known.owner_of, np.array(self.members, dtype=np.str_)))

    def public_people(self) -> dict[str, npt.NDArray[np.int64]]:
        """Candidates of each person who took no part."""
        users = np.array(self.known.clips.users, dtype=np.str_)
        return {str(u): self.public[users[self.public] == u] for u in np.unique(users[self.public])}

    @cached_property
    def hard(self) -> bool:
        """Whether there are other takes of the same people to tell members from."""
        return any(len(self.other_takes(name)) for name in self.members)

    def negatives(self, pseudonym: str, most: int = 150) -> npt.NDArray[np.int64]:
        """Clips the device did not train on: of the same people, else `most` of other people."""
        if self.hard:
            return self.other_takes(pseudonym)
        others = np.flatnonzero(self.known.owner_of != pseudonym)
        chooser = generator(self.seed, "audit negatives", client=pseudonym)
        return np.sort(chooser.choice(others, min(most, len(others)), replace=False))

    @cached_property
    def shadows(self) -> tuple[str, ...]:
        """A third of the devices, on whom scores are tuned and who are then not counted."""
        order = generator(self.seed, "audit shadows").permutation(len(self.members))
        return tuple(sorted(self.members[i] for i in order[: len(self.members) // 3]))

    @property
    def targets(self) -> tuple[str, ...]:
        """All other devices."""
        return tuple(name for name in self.members if name not in self.shadows)


def classifier_inputs(head: UniversalHead, clips: ClipSet) -> Vector:
    """(clips, dimension) clips as the population branch's classifier of `head` reads them."""
    if len(clips) == 0:
        return np.zeros((0, head.specification.dimension))
    rows = clip_rows(head.specification, clips)
    batch = branch_batch(head, rows, BRANCH, {})
    found = descriptor(head.specification.kind, head.branch(BRANCH), batch)
    return np.ascontiguousarray(found.numpy())


def _usable(reply: Received, each: Round) -> bool:
    """Whether the branch's arrays are there as the specification says, and finite."""
    for name, shape in each.head.specification.branch_shapes().items():
        value = reply.arrays.get(f"{BRANCH}.{name}")
        if value is None or value.shape != shape or not np.isfinite(value).all():
            return False
    return True


def _step(number: int, arrays: Mapping[str, npt.NDArray[np.floating]]) -> Step:
    return Step(
        number,
        np.asarray(arrays[f"{BRANCH}.weight"], dtype=np.float64),
        np.asarray(arrays[f"{BRANCH}.bias"], dtype=np.float64),
    )

"""One measurement: universal heads, personal heads and one common head, on the same test clips.

The federation runs on the cohort engine, in memory; personal heads are by the device's own methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import pad

from client.evaluation import draw_own_clips
from client.personalisation import DEFAULT_METHOD, METHODS
from client.personalisation.interface import Fitting, View, get_acquainted
from client.personalisation.maximum_a_posteriori import Prior
from client.personalisation.solver import Labels
from common.clips import ClipSet
from common.heads.batch import ClipBatch
from common.heads.kinds import pools_first
from common.heads.leak import check_federated
from common.heads.specification import WIDEST_SCATTER, HeadSpecification
from common.heads.training import (
    ATTENTION_EPOCHS,
    ATTENTION_RATE,
    LOGISTIC_EPOCHS,
    LOGISTIC_RATE,
)
from common.heads.universal import Inputs, UniversalHead
from common.ravdess import ClipName, Take
from common.settings import FederationPlan
from server.federation import RoundRecord, run_federation
from simulations.engines.cohort.clients import cohort_of
from simulations.engines.cohort.fleet import CohortFleet
from simulations.experiments.inputs import Input
from simulations.pooled import pooled_head
from simulations.protocols import (
    PAPER,
    Protocol,
    Split,
    folds_of_others,
    make_protocol,
    paper_protocol,
    twinned,
)
from simulations.selection import Choice, choose
from simulations.simulate import most_own_clips

Record = dict[str, Any]
Progress = Callable[[float], None]
FIXED = Choice(0.01, 1.0, 1.0)
MOST_FOLDS_OF_OTHERS = 3
"""Protocol `paper` has one federation, and only pairs with it count for its choice."""
METHOD_OF = {"personal": DEFAULT_METHOD, "fine_tune": "fine-tune", "local_only": "local-only"}
"""What records call the personal heads, and the method of each."""


@dataclass(frozen=True, kw_only=True)
class HeadTask:
    """Settings of one measurement.

    Attributes:
        protocol: which clips adapt and which test: `paper`, `by-take` or `folds`.
        head: kind of head.
        seed: of every random choice.
        own_clips: numbers of own clips per expression to try, each at least 1, increasing; none
            is tried after the first that takes all there are. Empty: all of them only.
        draws: seeded draws of each number.
        rounds: of each federation.
        frames: heads that look at single frames get at most so many of a clip, evenly spread.
        user_folds: of `by-take`.
        chosen: whether regularisation and prior are chosen on training users, else `FIXED`.
        common: whether one common head, adapted to all test users together, is measured too.
        methods: of `METHOD_OF`, those to measure.
    """

    protocol: str
    head: str
    seed: int
    own_clips: tuple[int, ...] = ()
    draws: int = 1
    rounds: int = 30
    frames: int = 16
    user_folds: int = 6
    chosen: bool = False
    common: bool = False
    methods: tuple[str, ...] = tuple(METHOD_OF)


@dataclass(frozen=True)
class Material:
    """Clips, their names and the protocol over them, ready for one kind of head."""

    clips: ClipSet
    ravdess: Sequence[ClipName] | None
    protocol: Protocol
    specification: HeadSpecification

    @cached_property
    def takes(self) -> Mapping[str, Take]:
        """The take of each clip by name; empty without RAVDESS names."""
        names = self.ravdess or ()
        return {n: c.take for n, c in zip(self.clips.names, names, strict=False)}

    @cached_property
    def _label(self) -> Mapping[str, int]:
        return dict(zip(self.clips.names, self.clips.labels.tolist(), strict=True))

    def labels_of(self, names: Sequence[str]) -> Labels:
        """(names,) labels of clips."""
        return np.array([self._label[name] for name in names], dtype=np.int64)


def material(task: HeadTask, source: Input) -> Material:
    """What a task works on.

    Raises:
        UsageError: the data does not allow the protocol.
    """
    if task.protocol == PAPER:
        clips, ravdess = source.clips, source.ravdess
        protocol = paper_protocol(clips, ravdess, seed=task.seed)
    else:
        clips, ravdess = source.once
        protocol = make_protocol(task.protocol, clips, ravdess, folds=task.user_folds)
    specification = HeadSpecification(
        kind=task.head,
        dimension=clips.dimension,
        features=source.features,
        scatter=clips.dimension <= WIDEST_SCATTER,
    )
    if not pools_first(task.head):
        clips = thinned(clips, task.frames)
    return Material(clips, ravdess, protocol, specification)


def thinned(clips: ClipSet, frames: int) -> ClipSet:
    """The clips with at most `frames` (at least 1) frames each, evenly spread over the clip."""
    if int(clips.lengths.max()) <= frames:
        return clips
    starts = np.cumsum(clips.lengths) - clips.lengths
    counts = np.minimum(clips.lengths, frames)
    rows = [
        start + np.arange(count) * length // count
        for start, length, count in zip(starts, clips.lengths, counts, strict=True)
    ]
    return replace(clips, frames=clips.frames[np.concatenate(rows)], lengths=counts)


def measure(task: HeadTask, source: Input, progress: Progress) -> Record:
    """Predictions of all heads on every test clip of the protocol, and how they came about.

    Args:
        task: the settings.
        source: the features.
        progress: told the share that is done, 0..1.

    Raises:
        UsageError: the data does not allow the protocol.
    """
    torch.set_num_threads(1)  # sums keep their order
    ready = material(task, source)
    choices = choices_of(task, ready, source, lambda share: progress(0.5 * share))
    most = most_own_clips(ready.clips, ready.protocol)
    counts = up_to(task.own_clips, most) or (most,)
    records: list[Record] = []
    for done, federation in enumerate(ready.protocol.held_out, start=1):
        records += _federation(task, ready, federation, choices[federation], counts)
        progress(0.5 + 0.5 * done / len(ready.protocol.held_out))
    return {
        "own_clips": list(counts),
        "most_own_clips": most,
        "chosen_on_training_users": task.chosen,
        "chosen": {name: asdict(choices[name]) for name in ready.protocol.held_out},
        # Accuracy is measured here, on data that is in one place: nothing is transmitted.
        "federation": check_federated(ready.specification, accept_leak=True).to_json(),
        "records": records,
    }


def up_to(counts: Sequence[int], most: int) -> tuple[int, ...]:
    """Increasing numbers, the last the first that is `most` or more.

    >>> up_to((1, 2, 4, 8, 12), 6), up_to((1, 2), 6)
    ((1, 2, 4, 8), (1, 2))
    """
    return tuple(n for i, n in enumerate(counts) if i == 0 or counts[i - 1] < most)


def _federation(
    task: HeadTask, ready: Material, federation: str, choice: Choice, counts: Sequence[int]
) -> list[Record]:
    """Records of all users whom a federation leaves out."""
    head, pooled = _heads(task, ready, federation, choice)
    splits = [split for split in ready.protocol.splits if split.federation == federation]
    seen = [_see(task, ready, split, head, choice) for split in splits]
    records = [_record(task, ready, each, counts) for each in seen]
    if pooled:
        for record, split in zip(records, splits, strict=True):
            record["pooled"] = _chosen(views(pooled, ready.clips, split)[1].universal)
    if task.common:
        draws = range(task.draws)
        made = [[_common(task, seen, count, draw) for draw in draws] for count in counts]
        for place, record in enumerate(records):
            record["common"] = [[heads[place] for heads in drawn] for drawn in made]
    return records


def choices_of(
    task: HeadTask, ready: Material, source: Input, progress: Callable[[float], None]
) -> Mapping[str, Choice]:
    """Regularisation and prior of each federation.

    They are chosen with logistic heads, which are solved fast; attention heads take the prior from
    there, and the regularisation of `FIXED`.
    """
    if not task.chosen:
        return dict.fromkeys(ready.protocol.held_out, FIXED)
    found: dict[str, Choice] = source.once_only(
        ("choices", task.protocol, task.seed, task.user_folds),
        lambda: _choose(replace(task, head="logistic"), source, progress),
    )
    if task.head == "logistic":
        return found
    return {name: replace(choice, l2=FIXED.l2) for name, choice in found.items()}


def _choose(task: HeadTask, source: Input, progress: Callable[[float], None]) -> dict[str, Choice]:
    ready = material(task, source)
    protocol = ready.protocol
    if protocol.name == PAPER:
        folds = min(task.user_folds, MOST_FOLDS_OF_OTHERS)
        protocol = folds_of_others(protocol, ready.clips, ready.ravdess, folds=folds)
    return choose(
        ready.specification,
        ready.clips,
        protocol,
        l2=0.0,
        seed=task.seed,
        progress=lambda done, total: progress(done / total),
    )


def outside(ready: Material, federation: str) -> ClipSet:
    """Clips of the users who take part in a federation."""
    out = ready.protocol.held_out[federation]
    return ready.clips.select([i for i, user in enumerate(ready.clips.users) if user not in out])


def federated(
    specification: HeadSpecification, training: ClipSet, plan: FederationPlan
) -> tuple[UniversalHead, list[RoundRecord]]:
    """A universal head from one device per user of `training`, and the rounds it took."""
    rounds: list[RoundRecord] = []
    devices = [training.of_user(user) for user in training.user_names()]
    fleet = CohortFleet(specification, cohort_of(devices))
    head = run_federation(fleet, specification, plan, rounds.append, strict=True)
    return head, rounds


def plan_of(head: str, name: str, *, rounds: int, l2: float, seed: int) -> FederationPlan:
    """The default federation of a kind of head, as `mien simulate` runs it."""
    logistic = head == "logistic"
    return FederationPlan(
        name=name,
        rounds=rounds,
        epochs=LOGISTIC_EPOCHS if logistic else ATTENTION_EPOCHS,
        learning_rate=LOGISTIC_RATE if logistic else ATTENTION_RATE,
        l2=l2,
        memory=10 if logistic else 0,
        seed=seed,
    )


def _heads(
    task: HeadTask, ready: Material, federation: str, choice: Choice
) -> tuple[UniversalHead, UniversalHead | None]:
    """The federated head and, where its objective is convex and the ceiling is one, the pooled."""
    training = outside(ready, federation)
    plan = plan_of(task.head, federation, rounds=task.rounds, l2=choice.l2, seed=task.seed)
    head, _ = federated(ready.specification, training, plan)
    if task.head != "logistic":
        return head, None
    return head, pooled_head(ready.specification, training, l2=choice.l2, seed=task.seed)


@dataclass(frozen=True)
class _Seen:
    """One split as one head sees it.

    Attributes:
        split: whose clips.
        known, asked: clips to adapt on, and to test on.
        labels: of the clips to adapt on.
        fitting: settings of this user's personal heads.
    """

    split: Split
    known: View
    asked: View
    labels: Labels
    fitting: Fitting

    def draw(self, count: int, draw: int) -> list[int]:
        """Indices of the clips that a seeded draw of so many per expression takes."""
        seed, user = self.fitting.seed, self.split.user
        return list(draw_own_clips(self.labels, count, seed=seed, draw=draw, user=user))


def views(head: UniversalHead, clips: ClipSet, split: Split) -> tuple[View, View]:
    """Adaptation and test clips of a split as a head sees them."""
    place = {name: index for index, name in enumerate(clips.names)}
    sides = [clips.select([place[name] for name in s]) for s in (split.adaptation, split.test)]
    user = get_acquainted(head, sides[0])
    return user.view(sides[0]), user.view(sides[1])


def _see(
    task: HeadTask, ready: Material, split: Split, head: UniversalHead, choice: Choice
) -> _Seen:
    known, asked = views(head, ready.clips, split)
    labels = ready.labels_of(split.adaptation)
    prior = Prior(evidence=choice.evidence)
    fitting = Fitting(prior=prior, seed=task.seed, user=split.user)
    return _Seen(split, known, asked, labels, fitting)


def _record(task: HeadTask, ready: Material, seen: _Seen, counts: Sequence[int]) -> Record:
    """One user's predictions."""
    record: Record = {
        "user": seen.split.user,
        "federation": seen.split.federation,
        "labels": ready.labels_of(seen.split.test).tolist(),
        "twin": list(twinned(seen.split, ready.takes)) if ready.takes else [],
        "universal": _chosen(seen.asked.universal),
        "universal_raw": _chosen(seen.asked.raw),
    }
    record["twin"] = record["twin"] or [False] * len(seen.split.test)
    for key in task.methods:
        record[key] = [
            [_personal(METHOD_OF[key], seen, seen.draw(count, draw)) for draw in range(task.draws)]
            for count in counts
        ]
    return record


def _personal(method: str, seen: _Seen, rows: list[int]) -> list[int]:
    made = METHODS[method](seen.known.select(rows), seen.labels[rows], seen.fitting)
    return _chosen(made.logits(seen.asked))


def _chosen(logits: npt.NDArray[np.float64]) -> list[int]:
    chosen: list[int] = logits.argmax(axis=1).tolist()
    return chosen


def _common(task: HeadTask, seen: Sequence[_Seen], count: int, draw: int) -> list[list[int]]:
    """One head adapted to the drawn clips of all of a federation's test users, by `map`."""
    rows = [each.draw(count, draw) for each in seen]
    known = together([each.known.select(r) for each, r in zip(seen, rows, strict=True)])
    labels = np.concatenate([each.labels[r] for each, r in zip(seen, rows, strict=True)])
    made = METHODS[DEFAULT_METHOD](known, labels, replace(seen[0].fitting, user="all"))
    return [_chosen(made.logits(each.asked)) for each in seen]


def together(parts: Sequence[View]) -> View:
    """Clips of several users, each seen by the own statistics, as one set; trust is their mean."""
    first = parts[0]
    return View(
        first.head,
        Inputs(
            *(_stacked([getattr(p.inputs, name) for p in parts]) for name in ("population", "user"))
        ),
        float(np.mean([part.trust for part in parts])),
        np.concatenate([part.universal for part in parts]),
        np.concatenate([part.descriptors for part in parts]),
        np.concatenate([part.own for part in parts]),
    )


def _stacked(batches: Sequence[ClipBatch]) -> ClipBatch:
    longest = max(batch.mask.shape[1] for batch in batches)
    frames = [pad(b.frames, (0, 0, 0, longest - b.frames.shape[1])) for b in batches]
    masks = [pad(b.mask, (0, longest - b.mask.shape[1])) for b in batches]
    return ClipBatch(torch.cat(frames), torch.cat(masks))

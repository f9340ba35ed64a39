"""Trains detectors on labelled pairs. Everything that imports torch for them is here.

The pairs that train and those that validate are of different people. Validation pairs choose the
number of epochs and the threshold, and nothing else; test pairs are not known here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional

from client.avatar.detectors import concat, labels, personal, siamese
from client.avatar.detectors.interface import CLASSES, Detector, MadeFor, Pair
from client.avatar.detectors.layers import Network
from common.errors import UsageError
from common.randomness import generator

MARGIN: Final = 2.0
"""Of the contrastive loss."""
_HIDDEN: Final = 128
_EMBEDDING: Final = 24
_WEIGHT_DECAY: Final = 1e-2
_STANDARD: Final = 1e-3
_DROPOUT: Final = 0.3
_CONCAT_WIDTHS: Final = (256, 64)
_CONCAT_DROPOUT: Final = 0.5
_CONCAT_HIDDEN_INPUTS: Final = 0.2
"""Share of inputs that `concat` does without in each step; features of neighbours say the same."""
_NAMING: Final = 0.3
"""Weight of the loss of naming, both sides alike."""
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.floating]
Mismatches = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a detector is trained.

    Attributes:
        rate: of Adam.
        epochs: at most; the best by validation loss is kept.
        batch: pairs.
        most: pairs of one epoch, drawn anew for each; 0 for all there are.
    """

    rate: float
    epochs: int
    batch: int = 64
    most: int = 0


SIAMESE: Final = Schedule(rate=5e-4, epochs=25, batch=128, most=8192)
"""Learning rate as in Mikhailov 2023."""
CONCAT: Final = Schedule(rate=2e-3, epochs=41, batch=256, most=6144)
"""Epochs at most as in Mikhailov 2023; networks on ready features are small, so the learning rate
is higher than that for whole backbones (1e-4)."""
PERSONAL: Final = Schedule(rate=5e-3, epochs=30, batch=256)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pairs with the truth about them.

    Attributes:
        pairs: at least one that differs and one that does not.
        mismatch: (pairs,) whether they differ.
        shown: (pairs, 2) what face and avatar show, indices into `EXPRESSIONS`; None where only
            mismatches are known. `concat` learns more where training pairs have it.

    Raises:
        UsageError: a length differs, all pairs are of one kind, or what is shown doesn't fit.
    """

    pairs: Sequence[Pair]
    mismatch: Mismatches
    shown: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.pairs) != len(self.mismatch):
            raise UsageError(f"{len(self.pairs)} pairs have {len(self.mismatch)} marks of mismatch")
        if not self.mismatch.any() or self.mismatch.all():
            raise UsageError(
                f"all {len(self.pairs)} pairs are of one kind; a detector needs pairs that differ "
                "and pairs that do not"
            )
        if self.shown is not None and not _fits(self.shown, self.mismatch):
            raise UsageError(
                f"what {len(self.pairs)} pairs show (shape {self.shown.shape}) doesn't fit their "
                "marks of mismatch; give the expressions of face and avatar of each pair"
            )


def _fits(shown: npt.NDArray[np.int64], mismatch: Mismatches) -> bool:
    known = shown.shape == (len(mismatch), 2) and shown.min() >= 0 and shown.max() < CLASSES
    return known and np.array_equal(shown[:, 0] != shown[:, 1], mismatch)


def train(
    name: str, training: Labelled, validation: Labelled, made_for: MadeFor, *, seed: int = 0
) -> Detector:
    """Train one detector; equal arguments give equal detectors on one machine.

    Args:
        name: `labels`, `siamese`, `concat` or `personal`.
        training, validation: pairs of different people; where `personal` finds no own reading, it
            learns from the universal models' alone.
        made_for: ids of what made the features.
        seed: of every random choice.

    Raises:
        UsageError: no such detector.
    """
    makers: dict[str, Callable[[], Detector]] = {
        labels.NAME: lambda: labels.Labels(made_for),
        siamese.NAME: lambda: train_siamese(training, validation, made_for, seed),
        concat.NAME: lambda: train_concat(training, validation, made_for, seed),
        personal.NAME: lambda: train_personal(training, validation, made_for, seed),
    }
    if name not in makers:
        raise UsageError(f"detector {name!r} is unknown: use one of {', '.join(makers)}")
    return makers[name]()


def contrastive_loss(distance: Tensor, mismatch: Tensor, margin: float = MARGIN) -> Tensor:
    """Mean of `(1 - y) D^2 / 2 + y max(0, m - D)^2 / 2` over pairs (Mikhailov 2023).

    Args:
        distance: (pairs,) D, 0 or more.
        mismatch: (pairs,) y, 1 where expressions differ.
        margin: m.
    """
    apart = functional.relu(margin - distance)
    return (((1 - mismatch) * distance**2 + mismatch * apart**2) / 2).mean()


def best_threshold(scores: Floats, mismatch: Mismatches) -> float:
    """The threshold with most pairs right; of several, the middle of the widest gap.

    Args:
        scores: (pairs,), a pair counts as a mismatch at the threshold and above.
        mismatch: (pairs,).
    """
    values = np.unique(scores)
    low, high = np.r_[values[0] - 1.0, values], np.r_[values, values[-1] + 1.0]
    order = np.argsort(scores, kind="stable")
    ranked, truth = scores[order], mismatch[order]
    below = np.searchsorted(ranked, (low + high) / 2, side="left")
    kept = np.r_[0, np.cumsum(~truth)][below]
    found = truth.sum() - np.r_[0, np.cumsum(truth)][below]
    right = kept + found
    best = np.flatnonzero(right == right.max())
    widest = best[np.argmax((high - low)[best])]
    return float((low[widest] + high[widest]) / 2)


def even_odds(scores: Floats, mismatch: Mismatches) -> float:
    """The threshold at which mismatch and match are as likely, by a logistic curve (Platt 1999).

    All pairs place it, where `best_threshold` hangs on the few in the middle: for scores that are
    log-odds already. It lies among the scores; where scores fall with mismatch it is
    `best_threshold`.

    Args:
        scores: (pairs,).
        mismatch: (pairs,), of both kinds.
    """
    middle, spread = scores.mean(), max(float(scores.std()), _STANDARD)
    units = (scores - middle) / spread
    wrong, right = mismatch.sum(), (~mismatch).sum()
    wanted = np.where(mismatch, (wrong + 1) / (wrong + 2), 1 / (right + 2))

    def loss(line: Floats) -> float:
        odds = line[0] * units + line[1]
        return float((np.logaddexp(0.0, odds) - wanted * odds).mean())

    slope, height = minimize(loss, np.array([1.0, 0.0])).x
    if slope <= 0:
        return best_threshold(scores, mismatch)
    return float(middle + spread * np.clip(-height / slope, units.min(), units.max()))


def scores_of(detector: Detector, pairs: Sequence[Pair]) -> Floats:
    """(pairs,) scores."""
    return np.array([detector.score(pair) for pair in pairs])


def train_siamese(
    training: Labelled, validation: Labelled, made_for: MadeFor, seed: int
) -> siamese.Siamese:
    """Two networks of one form under the contrastive loss; threshold on the distance."""
    parts = [_standardised(_side(training, side)) for side in ("face", "avatar")]
    nets = nn.ModuleList(
        _network(scale.width, _HIDDEN, _EMBEDDING, seed=seed, purpose=f"siamese {index}")
        for index, scale in enumerate(parts)
    )

    def loss_of(rows: tuple[Tensor, ...], mismatch: Tensor) -> Tensor:
        a, b = (net(row) for net, row in zip(nets, rows, strict=True))
        return contrastive_loss((a - b).square().sum(1).add(1e-8).sqrt(), mismatch)

    def inputs(pairs: Labelled) -> tuple[Tensor, ...]:
        sides = zip(("face", "avatar"), parts, strict=True)
        return tuple(scale(_side(pairs, side)) for side, scale in sides)

    _fit(nets, loss_of, inputs(training), inputs(validation), training, validation, SIAMESE, seed)
    face, avatar = (scale.exported(net) for scale, net in zip(parts, nets, strict=True))
    made = siamese.Siamese(face, avatar, 0.0, made_for)
    threshold = best_threshold(scores_of(made, validation.pairs), validation.mismatch)
    return siamese.Siamese(face, avatar, threshold, made_for)


def train_concat(
    training: Labelled, validation: Labelled, made_for: MadeFor, seed: int
) -> concat.Concat:
    """What both models make of their pictures, under the binary cross-entropy.

    Where training pairs tell what is shown, the first layer also learns to name it on both sides,
    through outputs that are not kept: of two layers, one can then see expressions and the other
    compare them, which marks of mismatch alone teach for the training people only.
    """

    def rows(pairs: Labelled) -> npt.NDArray[np.float32]:
        return np.stack([concat.inputs_of(pair).astype(np.float32) for pair in pairs.pairs])

    seen = rows(training)
    scale = _standardised(seen)
    net = nn.Sequential(
        nn.Dropout(_CONCAT_HIDDEN_INPUTS),
        *_network(
            scale.width, *_CONCAT_WIDTHS, 1, seed=seed, purpose="concat", dropout=_CONCAT_DROPOUT
        ),
    )
    names = _network(_CONCAT_WIDTHS[0], 2 * CLASSES, seed=seed, purpose="concat names")

    def loss_of(inputs: tuple[Tensor, ...], mismatch: Tensor) -> Tensor:
        hidden = net[:4](inputs[0])
        loss = functional.binary_cross_entropy_with_logits(net[4:](hidden)[:, 0], mismatch)
        for side, label in enumerate(inputs[1:]):
            named = names(hidden)[:, side * CLASSES : (side + 1) * CLASSES]
            loss = loss + _NAMING * functional.cross_entropy(named, label)
        return loss

    labels_of = () if training.shown is None else tuple(torch.from_numpy(training.shown.T.copy()))
    inputs, others = (scale(seen), *labels_of), (scale(rows(validation)),)
    both = nn.ModuleList([net, names])
    _fit(both, loss_of, inputs, others, training, validation, CONCAT, seed)
    made = concat.Concat(scale.exported(net), 0.0, made_for)
    threshold = even_odds(scores_of(made, validation.pairs), validation.mismatch)
    return concat.Concat(made.network, threshold, made_for)


def train_personal(
    training: Labelled, validation: Labelled, made_for: MadeFor, seed: int
) -> personal.Personal:
    """A small network per case of own readings, on figures of agreement; one threshold."""
    networks = {}
    for case in personal.CASES:
        rows = [
            personal.evidence_rows([personal.without(pair, case) for pair in part.pairs])
            for part in (training, validation)
        ]
        networks[case] = _classifier(
            rows[0], rows[1], training, validation, PERSONAL, seed, hidden=(16,)
        )
    made = personal.Personal(networks, 0.0, made_for)
    threshold = best_threshold(scores_of(made, validation.pairs), validation.mismatch)
    return personal.Personal(networks, threshold, made_for)


@dataclass(frozen=True, eq=False)
class _Scale:
    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]

    @property
    def width(self) -> int:
        return len(self.mean)

    def __call__(self, rows: Rows) -> Tensor:
        return torch.from_numpy(((rows - self.mean) / self.spread).astype(np.float32))

    def exported(self, net: nn.Module) -> Network:
        """The trained layers as arrays; dropout and activations hold none."""
        linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        layers = tuple(
            (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
            for layer in linear
        )
        return Network(self.mean, self.spread, layers)


def _standardised(rows: Rows) -> _Scale:
    spread = np.maximum(rows.std(axis=0, dtype=np.float64), _STANDARD)
    return _Scale(rows.mean(axis=0, dtype=np.float64).astype(np.float32), spread.astype(np.float32))


def _side(pairs: Labelled, side: str) -> npt.NDArray[np.float32]:
    return np.stack([getattr(pair, side).features for pair in pairs.pairs])


def _network(*widths: int, seed: int, purpose: str, dropout: float = _DROPOUT) -> nn.Sequential:
    """Linear layers of these widths with ReLU and dropout between, drawn from the seed."""
    torch.manual_seed(int(generator(seed, f"detector {purpose}").integers(2**31)))
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.ReLU(), nn.Dropout(dropout)] if index else []
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)


def _classifier(
    rows: Floats,
    held_out: Floats,
    training: Labelled,
    validation: Labelled,
    schedule: Schedule,
    seed: int,
    hidden: tuple[int, ...],
) -> Network:
    scale = _standardised(rows)
    net = _network(scale.width, *hidden, 1, seed=seed, purpose=f"classifier {hidden}")

    def loss_of(inputs: tuple[Tensor, ...], mismatch: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(net(inputs[0])[:, 0], mismatch)

    inputs, others = (scale(rows),), (scale(held_out),)
    _fit(net, loss_of, inputs, others, training, validation, schedule, seed)
    return scale.exported(net)


def _fit(
    net: nn.Module,
    loss_of: Callable[[tuple[Tensor, ...], Tensor], Tensor],
    inputs: tuple[Tensor, ...],
    others: tuple[Tensor, ...],
    training: Labelled,
    validation: Labelled,
    schedule: Schedule,
    seed: int,
) -> None:
    """Adam; `net` ends with the weights of the epoch whose validation loss is least."""
    wanted, unseen = (
        torch.from_numpy(part.mismatch.astype(np.float32)) for part in (training, validation)
    )
    random = generator(seed, "detector batches")
    optimiser = torch.optim.AdamW(net.parameters(), lr=schedule.rate, weight_decay=_WEIGHT_DECAY)
    best, kept = np.inf, copy.deepcopy(net.state_dict())
    for _ in range(schedule.epochs):
        net.train()
        order = torch.from_numpy(random.permutation(len(wanted))[: schedule.most or None])
        for chosen in order.split(schedule.batch):
            loss = loss_of(tuple(part[chosen] for part in inputs), wanted[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        net.eval()
        with torch.no_grad():
            now = float(loss_of(others, unseen))
        if now < best:
            best, kept = now, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    net.eval()

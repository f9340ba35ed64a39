"""Which heads tell too much when they are federated, and how much a round of any head tells.

With stochastic gradient descent the update of a linear layer is A^T F: the clips' inputs F, mixed
by as many rows as the layer has outputs (docs/privacy.md). Class by class these rows add up to 0,
so that C classes tell C - 1 exact mixtures a round; as soon as the rounds' mixtures are as many as
the clips, whoever has a clip can say for certain whether it was among them. A layer of many
outputs on raw features tells as much in one round. It may be federated where a frozen, public
projection to a few numbers stands before it: mixtures of those say little of a clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from common.errors import UsageError
from common.heads.specification import HeadSpecification, Shape

WIDEST_PROJECTION: Final = 32
"""Numbers per frame that layers of many outputs may read in a federation."""
_CLASSIFIER: Final = "weight"
_BIAS: Final = "bias"


@dataclass(frozen=True, kw_only=True)
class LeakNote:
    """What a result says of its head.

    Attributes:
        mixing: arrays that mix frames or clips behind raw features; empty where none does.
        combinations: exact mixtures of a branch's inputs that one round tells.
        accepted: whether the operator accepted a head that should not be federated.
    """

    mixing: tuple[str, ...]
    combinations: int
    accepted: bool

    def to_json(self) -> dict[str, Any]:
        """What is recorded in every result."""
        return {
            "mixing_arrays": list(self.mixing),
            "combinations_per_round": self.combinations,
            "accepted_leak": self.accepted,
        }


def check_federated(specification: HeadSpecification, *, accept_leak: bool = False) -> LeakNote:
    """What is to be recorded of a head, or a refusal to federate it.

    Raises:
        UsageError: the head mixes rows behind raw features, and nobody accepted that.
    """
    mixing = mixing_arrays(specification)
    if mixing and not accept_leak:
        raise UsageError(
            f"head {specification.kind} on {specification.dimension} features tells {len(mixing)} "
            f"layers of mixed raw features a round ({', '.join(mixing)}); use logistic or "
            f"single-attention, put a public projection to at most {WIDEST_PROJECTION} numbers "
            "before it (mien simulate --projection), or accept the leak with --accept-leak"
        )
    return LeakNote(
        mixing=mixing,
        combinations=combinations(specification.branch_shapes()),
        accepted=bool(mixing),
    )


def mixing_arrays(specification: HeadSpecification) -> tuple[str, ...]:
    """Names of the arrays for which a head should not be federated as it is; mostly none.

    A matrix other than the linear classifier mixes; features of at most `WIDEST_PROJECTION`
    numbers (a public projection's, or a backbone's own logits) may be mixed.
    """
    if specification.dimension <= WIDEST_PROJECTION:
        return ()
    return tuple(
        name
        for name, shape in specification.branch_shapes().items()
        if len(shape) > 1 and name != _CLASSIFIER
    )


def combinations(shapes: Mapping[str, Shape]) -> int:
    """Exact mixtures of inputs that one update of a branch tells, at most.

    A classifier of C classes tells C - 1, a query vector one, any other matrix one per output.

    Args:
        shapes: of one branch's arrays; inputs are as long as a row of `weight`.

    >>> combinations({"weight": (8, 1280), "bias": (8,)})
    7
    """
    width = shapes[_CLASSIFIER][1]
    told = shapes[_CLASSIFIER][0] - 1
    for name, shape in shapes.items():
        if name in (_CLASSIFIER, _BIAS) or width not in shape:
            continue
        told += 1 if len(shape) == 1 else shape[1 - shape.index(width)]
    return told

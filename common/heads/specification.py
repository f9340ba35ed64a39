"""What a head is, in numbers and names: the only thing both sides need to agree on beforehand.

A universal head has two branches of the same kind. The `population` branch reads features
standardised by the population's reference, the `user` branch features standardised by the user's
own mean and spread; `common.heads.universal` says how they are mixed. The reference itself
(`reference.centre`, `reference.spread`, and `reference.scatter` where the specification asks for
it) is learnt in round 0 and belongs to the head.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Final

from common.errors import UsageError
from common.expressions import EXPRESSIONS

REFERENCE_STAGE: Final = "reference"
HEAD_STAGE: Final = "head"
STAGES: Final = (REFERENCE_STAGE, HEAD_STAGE)
BRANCHES: Final = ("population", "user")
KINDS: Final = ("logistic", "single-attention", "self-attention", "self-attention-literal")
POOLINGS: Final = ("max", "mean")
DTYPE: Final = "float32"
FORMAT_VERSION: Final = 1
WIDEST_SCATTER: Final = 128
"""A scatter has as many entries as a feature has squared; wider features go without."""

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class HeadSpecification:
    """Kind and sizes of a universal head; equal specifications may be averaged, others never.

    Attributes:
        kind: one of `KINDS`.
        dimension: length of a frame feature, at least 1.
        features: id of what made the features (backbone, its version, preprocessing version).
        classes: number of expressions, at least 2.
        pooling: how `logistic` makes one descriptor of a clip's frames, one of `POOLINGS`.
        key_dimension: `d_k` of the self-attention kinds, at least 1.
        version: version of the arrays' meaning; another version is another specification.
        scatter: whether the reference holds how features move together within an expression, for
            personal heads; for a `dimension` of at most `WIDEST_SCATTER`.
    """

    kind: str
    dimension: int
    features: str
    classes: int = len(EXPRESSIONS)
    pooling: str = "max"
    key_dimension: int = 16
    version: int = FORMAT_VERSION
    scatter: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"head is {self.kind!r}, expected one of {', '.join(KINDS)}")
        if self.pooling not in POOLINGS:
            raise UsageError(f"pooling is {self.pooling!r}, expected one of {', '.join(POOLINGS)}")
        sizes = (self.dimension, 1), (self.key_dimension, 1), (self.classes, 2), (self.version, 1)
        if any(type(size) is not int or size < least for size, least in sizes):
            raise UsageError(
                f"head sizes are dimension {self.dimension!r}, key dimension "
                f"{self.key_dimension!r}, classes {self.classes!r}, version {self.version!r}; "
                "expected whole numbers, at least 1, 1, 2 and 1"
            )
        if type(self.scatter) is not bool or (self.scatter and self.dimension > WIDEST_SCATTER):
            raise UsageError(
                f"scatter is {self.scatter!r} for a feature of {self.dimension} numbers, expected "
                f"false, or true for at most {WIDEST_SCATTER}"
            )
        if type(self.features) is not str:
            raise UsageError(f"features are {self.features!r}, expected the id of what made them")

    @property
    def number(self) -> int:
        """A 53-bit number that is different for different specifications (SHA-256, shortened)."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 11

    def branch_shapes(self) -> dict[str, Shape]:
        """Names and shapes of one branch's arrays, in their order on the wire."""
        shapes: dict[str, Shape] = {}
        if self.kind == "single-attention":
            shapes["query"] = (self.dimension,)
        if self.kind.startswith("self-attention"):
            shapes["query_projection"] = (self.dimension, self.key_dimension)
            shapes["key_projection"] = (self.dimension, self.key_dimension)
            shapes["query"] = (self.key_dimension,)
        shapes["weight"] = (self.classes, self.dimension)
        shapes["bias"] = (self.classes,)
        return shapes

    def shapes(self, stage: str) -> dict[str, Shape]:
        """Names and shapes of all arrays that may travel in a stage; all are `DTYPE`.

        Raises:
            KeyError: the stage is none of `STAGES`.
        """
        if stage == REFERENCE_STAGE:
            shapes: dict[str, Shape] = {
                "reference.centre": (self.dimension,),
                "reference.spread": (self.dimension,),
            }
            if self.scatter:
                shapes["reference.scatter"] = (self.dimension, self.dimension)
            return shapes
        if stage == HEAD_STAGE:
            return {
                f"{branch}.{name}": shape
                for branch in BRANCHES
                for name, shape in self.branch_shapes().items()
            }
        raise KeyError(stage)

    def all_shapes(self) -> dict[str, Shape]:
        """Names and shapes of a whole universal head: the reference and both branches."""
        return self.shapes(REFERENCE_STAGE) | self.shapes(HEAD_STAGE)

    def to_json(self) -> str:
        """The specification as one line of JSON, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HeadSpecification:
        """Inverse of `to_json`.

        Raises:
            UsageError: not JSON, or a key is missing, unknown or out of range.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"a head specification could not be read: {error}") from error

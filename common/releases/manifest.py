"""What a release says about its tensors, and the one way in which that is written.

Canonical JSON: keys sorted, no spaces, ASCII, no NaN; what is not byte for byte the canonical form
of what it says is refused, so that one manifest has one hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from common.errors import UsageError
from common.heads.specification import HeadSpecification
from common.update import MAX_ROUND

FORMAT: Final = 1
NO_PARENT: Final = "0" * 64
"""The parent of a fleet's first release."""
MOST_MANIFEST_BYTES: Final = 64 * 1024
MOST_TENSOR_BYTES: Final = 64 * 1024 * 1024
LAST_SEQUENCE: Final = 2**53 - 1

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FLEET: Final = re.compile(r"[a-z0-9-]{1,64}")
_CREATED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NAME: Final = re.compile(r"[a-z0-9_.-]{1,64}")
_MOST_METRICS: Final = 64


@dataclass(frozen=True)
class PrivacySpent:
    """(epsilon, delta) of differential privacy spent on the head; both None: no guarantee."""

    epsilon: float | None = None
    delta: float | None = None

    def __post_init__(self) -> None:
        given = (self.epsilon, self.delta)
        if given == (None, None):
            return
        good = all(_finite(value) for value in given)
        if not good or not (float(self.epsilon or 0) >= 0 and 0 < float(self.delta or 0) < 1):
            raise UsageError(
                f"privacy spent is epsilon {self.epsilon!r}, delta {self.delta!r}; expected 0 or "
                "more and between 0 and 1, or neither where nothing is guaranteed"
            )


NOT_PRIVATE: Final = PrivacySpent()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is signed.

    Attributes:
        fleet: id of the fleet, 1 to 64 of a-z 0-9 -.
        sequence: 1 for the first release, then one more each time.
        round: of the federation whose head this is; tells, decides nothing.
        parent: hash of the release before, `NO_PARENT` for the first.
        specification: of the head; its `features` name backbone and preprocessing.
        expressions: the labels in their order, as many as the specification's classes.
        tensors_sha256, tensors_bytes: of the safetensors part.
        created: UTC, as 2026-01-31T12:00:00Z; tells, decides nothing (clocks are off).
        metrics: at most 64 finite numbers by name.
        privacy: what was spent.
        next_key: hex of the Ed25519 public key that signs from the next release on; None where
            the key stays.

    Raises:
        UsageError: a value out of its range.
    """

    fleet: str
    sequence: int
    round: int
    parent: str
    specification: HeadSpecification
    expressions: tuple[str, ...]
    tensors_sha256: str
    tensors_bytes: int
    created: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    privacy: PrivacySpent = NOT_PRIVATE
    next_key: str | None = None

    def __post_init__(self) -> None:
        for name, value, good, expected in (*self._text_checks(), *self._number_checks()):
            if not good:
                raise UsageError(f"a release's {name} is {value!r}, expected {expected}")

    def _text_checks(self) -> tuple[tuple[str, object, bool, str], ...]:
        digest = "64 hexadecimal digits"
        next_key = self.next_key is None or _matches(_DIGEST, self.next_key)
        return (
            ("fleet", self.fleet, _matches(_FLEET, self.fleet), "1 to 64 of a-z 0-9 -"),
            ("parent", self.parent, _matches(_DIGEST, self.parent), digest),
            ("checksum", self.tensors_sha256, _matches(_DIGEST, self.tensors_sha256), digest),
            ("next key", self.next_key, next_key, digest),
            ("created", self.created, _matches(_CREATED, self.created), "2026-01-31T12:00:00Z"),
            ("expressions", self.expressions, self._labels_fit(), "a different name per class"),
        )

    def _number_checks(self) -> tuple[tuple[str, object, bool, str], ...]:
        first = (self.sequence == 1) == (self.parent == NO_PARENT)
        most = f"0 to {MOST_TENSOR_BYTES}"
        return (
            ("sequence", self.sequence, _whole(self.sequence, 1, LAST_SEQUENCE), "1 or more"),
            ("parent", self.parent, first, "zeros for the first release and no other"),
            ("round", self.round, _whole(self.round, 0, MAX_ROUND), f"0 to {MAX_ROUND}"),
            ("size", self.tensors_bytes, _whole(self.tensors_bytes, 0, MOST_TENSOR_BYTES), most),
            ("metrics", dict(self.metrics), self._metrics_fit(), "at most 64 finite numbers"),
        )

    def _labels_fit(self) -> bool:
        labels = self.expressions
        named = type(labels) is tuple and all(_matches(_NAME, label) for label in labels)
        return named and len(set(labels)) == len(labels) == self.specification.classes

    def _metrics_fit(self) -> bool:
        items = self.metrics.items()
        return len(items) <= _MOST_METRICS and all(
            _matches(_NAME, name) and _finite(value) for name, value in items
        )

    def to_bytes(self) -> bytes:
        """The canonical form."""
        values = {**dataclasses.asdict(self), "format": FORMAT}
        return json.dumps(
            values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        ).encode("ascii")

    @property
    def sha256(self) -> str:
        """The release's hash, which the next one names as its parent: of the canonical form.

        The tensors are in it by their own checksum; the signature is not.
        """
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Inverse of `to_bytes`.

        Raises:
            UsageError: not canonical, of another format, or a key is missing, unknown or out of
                range.
        """
        try:
            values = json.loads(content)
            if values.pop("format") != FORMAT:
                raise UsageError(
                    f"a release is of another format than {FORMAT}; another version of Mien made it"
                )
            manifest = cls(**_typed(values))
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(f"a release's manifest could not be read: {error}") from error
        if manifest.to_bytes() != content:
            raise UsageError("a release's manifest is not in its canonical form")
        return manifest


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    return {
        **values,
        "specification": HeadSpecification(**values["specification"]),
        "expressions": tuple(values["expressions"]),
        "metrics": dict(values["metrics"]),
        "privacy": PrivacySpent(**values["privacy"]),
    }


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return type(value) is str and pattern.fullmatch(value) is not None


def _whole(value: object, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest


def _finite(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]

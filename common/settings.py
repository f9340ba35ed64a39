"""Settings that server and devices share for one federation."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from dataclasses import dataclass

from common.errors import UsageError
from common.heads.training import TrainingSettings

_NAME = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, kw_only=True)
class FederationPlan:
    """One federation: whose head it makes is decided by the devices that take part.

    Attributes:
        name: told to the devices, which know by it whether their clips may be used.
        rounds: head rounds after round 0 (the reference), at least 1.
        epochs: local epochs per round, at least 1.
        learning_rate: see `TrainingSettings`.
        l2: strength of regularisation.
        memory: past rounds that the server's Anderson acceleration looks at, 0 for plain averaging.
        seed: of the initial head.
        evaluate: whether devices held out of this federation test its final head for themselves.
    """

    name: str
    rounds: int
    epochs: int
    learning_rate: float
    l2: float
    memory: int
    seed: int
    evaluate: bool = False

    def __post_init__(self) -> None:
        checks = (
            ("rounds", self.rounds, _whole(self.rounds, 1, 100_000), "1 to 100000"),
            ("local-epochs", self.epochs, _whole(self.epochs, 1, 10_000), "1 to 10000"),
            ("learning-rate", self.learning_rate, _real(self.learning_rate) > 0, "above 0"),
            ("l2", self.l2, _real(self.l2) >= 0, "0 or more"),
            ("memory", self.memory, _whole(self.memory, 0, 50), "0 to 50"),
            ("seed", self.seed, type(self.seed) is int, "a whole number"),
            ("evaluate", self.evaluate, type(self.evaluate) is bool, "true or false"),
        )
        if type(self.name) is not str or not _NAME.fullmatch(self.name):
            raise UsageError(
                f"federation name {self.name!r} is not 1 to 40 of the characters a-z 0-9 -"
            )
        for name, value, good, expected in checks:
            if not good:
                raise UsageError(f"setting {name} is {value!r}, expected {expected}")

    @property
    def training(self) -> TrainingSettings:
        """What a device needs for its local training."""
        return TrainingSettings(epochs=self.epochs, learning_rate=self.learning_rate, l2=self.l2)

    def to_json(self) -> str:
        """One line of JSON, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FederationPlan:
        """Inverse of `to_json`.

        Raises:
            UsageError: not JSON, or a key is missing, unknown or out of range.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"a federation's plan could not be read: {error}") from error


def _whole(value: object, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest


def _real(value: object) -> float:
    """The value if it is a finite number, else one that no range holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) <= sys.float_info.max else math.nan

"""Settings that server and devices share for one federation."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import UsageError
from common.strategies import AVERAGING, CLIENTS_EXPECTED, FLEET_STRATEGIES, STRATEGIES

if TYPE_CHECKING:  # torch comes with it
    from common.heads.training import TrainingSettings

__all__ = ["STRATEGIES", "FederationPlan"]

_STRATEGIES = ", ".join(FLEET_STRATEGIES)
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_Check = tuple[str, object, bool, str]


@dataclass(frozen=True, kw_only=True)
class FederationPlan:
    """One federation: whose head it makes is decided by the devices that take part.

    Attributes:
        name: told to the devices, which know by it whether their clips may be used.
        rounds: head rounds after round 0 (the reference), at least 1.
        epochs: local epochs per round, at least 1.
        learning_rate: see `TrainingSettings`.
        l2: strength of regularisation.
        memory: past rounds that the server's Anderson acceleration looks at, 0 for plain averaging;
            for `fedavg` and `fedprox`.
        seed: of the initial head, and of who is asked and who is lost in a round.
        evaluate: whether devices held out of this federation test its final head for themselves.
        strategy: one of `FLEET_STRATEGIES`; `server.strategies` says what each does.
        proximal_mu: `mu` of the devices' proximal term, see `TrainingSettings`; above 0 with
            `fedprox`, 0 with all others.
        server_learning_rate: of `fedavgm` and the adaptive strategies, 0 for each one's default.
        trim: share that `fedtrimmedavg` leaves out at each end, and that the Krum family takes to
            be faulty, below 0.5.
        clients_per_round: devices asked in a head round: 0 all, below 1 a share, else a number.
        dropout: share of devices whose reply is lost in a round, below 1; simulations only.
        secure_sum: whether devices mask their updates, so that the server learns their sum alone.
        smallest_sum: members without whom no secure sum is revealed, at least 3.
        clip_norm: that every device's update is shortened to; 0 for none. Devices then count alike.
        noise_multiplier: of differential privacy, in clipping norms; 0 for no noise. Shared among
            the members of a secure sum, else added by the server.
    """

    name: str
    rounds: int
    epochs: int
    learning_rate: float
    l2: float
    memory: int
    seed: int
    evaluate: bool = False
    strategy: str = "fedavg"
    proximal_mu: float = 0.0
    server_learning_rate: float = 0.0
    trim: float = 0.2
    clients_per_round: float = 0.0
    dropout: float = 0.0
    secure_sum: bool = False
    smallest_sum: int = 10
    clip_norm: float = 0.0
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        if type(self.name) is not str or not _NAME.fullmatch(self.name):
            raise UsageError(
                f"federation name {self.name!r} is not 1 to 40 of the characters a-z 0-9 -"
            )
        checks = (*self._training_checks(), *self._server_checks(), *self._privacy_checks())
        for name, value, good, expected in checks:
            if not good:
                raise UsageError(f"setting {name} is {value!r}, expected {expected}")

    def _training_checks(self) -> tuple[_Check, ...]:
        return (
            ("rounds", self.rounds, _whole(self.rounds, 1, 100_000), "1 to 100000"),
            ("local-epochs", self.epochs, _whole(self.epochs, 1, 10_000), "1 to 10000"),
            ("learning-rate", self.learning_rate, _real(self.learning_rate) > 0, "above 0"),
            ("l2", self.l2, _real(self.l2) >= 0, "0 or more"),
            (
                "proximal-mu",
                self.proximal_mu,
                self._proximal_fits(),
                "above 0 with fedprox, else 0",
            ),
        )

    def _server_checks(self) -> tuple[_Check, ...]:
        rate, clients = self.server_learning_rate, self.clients_per_round
        return (
            ("memory", self.memory, _whole(self.memory, 0, 50), "0 to 50"),
            ("seed", self.seed, type(self.seed) is int, "a whole number"),
            ("evaluate", self.evaluate, type(self.evaluate) is bool, "true or false"),
            ("strategy", self.strategy, self.strategy in FLEET_STRATEGIES, _STRATEGIES),
            ("server-learning-rate", rate, _real(rate) >= 0, "0 or more"),
            ("trim", self.trim, 0 <= _real(self.trim) < 0.5, "0 to below 0.5"),
            ("clients-per-round", clients, _share_or_number(clients), CLIENTS_EXPECTED),
            ("dropout", self.dropout, 0 <= _real(self.dropout) < 1, "0 to below 1"),
        )

    def _privacy_checks(self) -> tuple[_Check, ...]:
        norm, noise = self.clip_norm, self.noise_multiplier
        averaging = f"one that averages ({', '.join(AVERAGING)}) with secure-sum or noise"
        masked = self.strategy in AVERAGING or not (self.secure_sum is True or _real(noise) > 0)
        clipped = _real(noise) == 0 or _real(norm) > 0
        return (
            ("secure-sum", self.secure_sum, type(self.secure_sum) is bool, "true or false"),
            ("smallest-sum", self.smallest_sum, _whole(self.smallest_sum, 3, 1024), "3 to 1024"),
            ("clip-norm", norm, _real(norm) >= 0, "0 or more"),
            ("noise-multiplier", noise, 0 <= _real(noise) < 1e6, "0 or more"),
            ("clip-norm", norm, clipped, "above 0, since noise is in units of it"),
            ("strategy", self.strategy, masked, averaging),
        )

    def _proximal_fits(self) -> bool:
        value = _real(self.proximal_mu)
        return value > 0 if self.strategy == "fedprox" else value == 0

    @property
    def training(self) -> TrainingSettings:
        """What a device needs for its local training."""
        from common.heads.training import TrainingSettings

        return TrainingSettings(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            l2=self.l2,
            proximal_mu=self.proximal_mu,
        )

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


def _share_or_number(value: object) -> bool:
    number = _real(value)
    return 0 <= number < 1 or (number >= 1 and number == int(number))


def _real(value: object) -> float:
    """The value if it is a finite number, else one that no range holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) <= sys.float_info.max else math.nan

"""What of a training does not belong to its recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from common.errors import UsageError

BALANCES: Final = ("none", "weights", "sampler")


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """How one training is run.

    Attributes:
        balance: against unequal classes: "weights" weighs the loss by n / (classes * n_class),
            "sampler" draws faces so that all classes come equally often.
        workers: processes that read and augment faces; 0 for this one. Results do not depend on it.
        save_every: batches between checkpoints within an epoch; one is written after each epoch.
        tensorboard: whether to write its event files into the folder.
        resume: whether to go on from a checkpoint in the folder, else it is written over.

    Raises:
        UsageError: a field is out of range.
    """

    balance: str = "none"
    workers: int = 0
    save_every: int = 500
    tensorboard: bool = False
    resume: bool = True

    def __post_init__(self) -> None:
        if self.balance not in BALANCES:
            raise UsageError(f"balance is {self.balance!r}; choose one of: {', '.join(BALANCES)}")
        if self.workers < 0 or self.save_every < 1:
            raise UsageError(
                f"workers is {self.workers} and save_every {self.save_every}, expected at least "
                "0 and 1"
            )

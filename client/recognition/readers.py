"""Which head reads a clip: what the recogniser asks of whoever keeps the heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from client.recognition.answer import BACKBONE
from common.errors import WorkError

Floats = npt.NDArray[np.float32]

NO_HEAD: Final = "this device has no universal head yet: the backbone's own labels answer"


class Reader(Protocol):
    """A head, ready to read one person's clips."""

    @property
    def kind(self) -> str:
        """`PERSONAL`, `UNIVERSAL` or `BACKBONE` of `client.recognition.answer`."""
        ...

    @property
    def reason(self) -> str:
        """Why this head, one sentence for the user."""
        ...

    def logits(self, features: Floats, own: Floats | None) -> Floats:
        """Unnormalised log-probabilities of `EXPRESSIONS`, (8,).

        Called with the frames seen so far, several times per clip.

        Args:
            features: (frames, dimension) float32, at least one row.
            own: (8,) logits by the backbone's own classifier over the same frames; None where it
                has none.

        Raises:
            WorkError: this head cannot read these features.
        """
        ...


class Readers(Protocol):
    """Gives the head for whoever is seen."""

    def reader(self, user: str | None) -> Reader:
        """The head that reads a user's clips; None is a guest."""
        ...


@dataclass(frozen=True)
class OwnLabels:
    """`Reader` by the backbone's own classifier, and `Readers` of a device without any head."""

    reason: str = NO_HEAD
    kind: str = BACKBONE

    def logits(self, features: Floats, own: Floats | None) -> Floats:
        """The backbone's own logits.

        Raises:
            WorkError: the backbone has no labels of its own.
        """
        if own is None:
            raise WorkError(
                "this backbone has no labels of its own and the device has no universal head; "
                "take mini-xception, or give the device a head with `mien device head FILE`"
            )
        return own

    def reader(self, user: str | None) -> Reader:
        """Itself, whoever it is."""
        return self

"""TensorBoard's event files, where they are asked for and the package is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.errors import UsageError
from simulations.expression_models.state import Epoch


class Board:
    """Writes an epoch's figures, or nothing."""

    def __init__(self, writer: Any = None) -> None:
        self._writer = writer

    def write(self, entry: Epoch) -> None:
        """One point of each curve."""
        if self._writer is not None:
            for name, value in asdict(entry).items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, entry.epoch)


@contextmanager
def open_board(folder: Path, wanted: bool, epochs: int) -> Iterator[Board]:
    """Event files in `folder`/tensorboard while the block runs.

    Args:
        folder: of the training.
        wanted: nothing is imported or written unless this is true.
        epochs: done already; later points of a broken run are hidden.

    Raises:
        UsageError: it is wanted and TensorBoard is not installed.
    """
    if not wanted:
        yield Board()
        return
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "TensorBoard is not installed; install the extra `train`, or leave out --tensorboard"
        )
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard"), purge_step=epochs + 1) as writer:
        yield Board(writer)

"""What all commands share: errors as one sentence, progress on standard error, JSON on demand."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from common.errors import MienError

output = Console()
errors = Console(stderr=True)


def print_json(value: object) -> None:
    """One JSON document on standard output, keys in their order."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def exit_code_of(error: BaseException, *, debug: bool) -> int:
    """Tell the user of an error in one sentence; return the process's exit code.

    Expected failures say what to do; anything else is a defect, and only `debug` shows its trace.
    """
    if debug:
        traceback.print_exception(error)
    if isinstance(error, MienError):
        errors.print(f"[bold red]mien:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        return error.exit_code
    errors.print(
        f"[bold red]mien:[/] unexpected {type(error).__name__}: {_plain(str(error))}; "
        "run the same command with --debug to see where",
        highlight=False,
        soft_wrap=True,
    )
    return 1


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("[", "\\[")


class PhaseBars:
    """A progress bar per phase, drawn only on a terminal."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Draw `done` of `total` of a phase."""
        if self._progress is None:
            return
        if phase not in self._bars:
            self._bars[phase] = self._progress.add_task(phase, total=total)
        self._progress.update(self._bars[phase], completed=done, total=total)


@contextmanager
def phase_bars() -> Iterator[PhaseBars]:
    """Bars on standard error while the block runs; none where that is no terminal."""
    if not errors.is_terminal:
        yield PhaseBars(None)
        return
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors) as progress:
        yield PhaseBars(progress)

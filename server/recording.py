"""What a server keeps of a round for an auditor, see `server.audit.recording_format`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.files import write_atomically
from common.messages import Request
from common.privacy.release import flat
from server.audit.recording_format import NOISED, write_sum
from server.audit.transcript import file_stem
from server.audit.truth import pseudonym_of
from server.secure_aggregation.outcome import SumRecord
from server.strategies.mean import WeightedMean


def keep_sum(folder: Path, request: Request, found: SumRecord, simulated: bool) -> None:
    """Write what a secure sum left for an auditor, see `server.audit.recording_format`."""
    name = pseudonym_of if simulated else str
    write_sum(
        folder,
        file_stem(request.plan.name, request.stage, request.round),
        total=found.total,
        members={number: name(address) for number, address in found.members.items()},
        step=found.step,
        attempt=found.attempt,
        masked=found.masked or None,
    )


def keep_noised(folder: Path, request: Request, mean: WeightedMean) -> None:
    """Write the sum that the server noised itself: what everybody else can learn of the round.

    Who is in it stands in the replies beside it; here members go by numbers.
    """
    total = mean.devices * flat(request.head.specification, request.stage, mean.arrays)
    write_sum(
        folder,
        file_stem(request.plan.name, request.stage, request.round),
        total=total,
        members={number: str(number) for number in range(1, mean.devices + 1)},
        step=0.0,
        kind=NOISED,
    )


def keep_replies(
    folder: Path, request: Request, replies: Sequence[bytes], *, further: bool = False
) -> None:
    """Write replies to `folder`, one file (0600) each, named by federation, stage and round.

    They are in Flower's bytes, as they came; `further` ones stand beside those of the round that
    are there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = file_stem(request.plan.name, request.stage, request.round)
    before = len(list(folder.glob(f"{stem}-*.bin"))) if further else 0
    for number, content in enumerate(replies, start=before):
        write_atomically(folder / f"{stem}-{number}.bin", content)

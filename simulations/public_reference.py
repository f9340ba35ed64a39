"""A reference that no device told: from clips that stand for a public data set."""

from __future__ import annotations

from pathlib import Path

from client.training import reference_update
from common.clips import ClipSet
from common.files import private_folder
from common.heads.specification import REFERENCE_STAGE, HeadSpecification
from common.heads.universal import initial_head
from server.aggregation import initial_state, step
from server.run import save_head
from server.strategies.fedavg import FedAvg


def save_reference(
    path: Path, specification: HeadSpecification, public: ClipSet, seed: int
) -> None:
    """Write the head after a round 0 that one device with the public clips would have answered."""
    head = initial_head(specification, seed)
    update = reference_update(head, public)
    after = step(initial_state(head), [update], stage=REFERENCE_STAGE, strategy=FedAvg())
    private_folder(path.parent)
    save_head(path, after.head)

"""How to load an identity network; `records` says which there are."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from common.backbones.engines.choice import AUTO, open_engine
from common.errors import UsageError, WorkError
from common.identity.network import IdentityNetwork
from common.identity.records import DLIB_RESNET, identity_record

DEFAULT_IDENTITY: Final = DLIB_RESNET.id


def load_identity(
    id: str,
    *,
    engine: str = AUTO,
    precision: str = AUTO,
    threads: int = 1,
    weights: Path | None = None,
) -> IdentityNetwork:
    """Load an identity network.

    Args:
        id: of the network.
        engine: see `common.backbones.registry.load`; dlib-resnet has only "auto".
        precision: the same.
        threads: faces embedded at the same time; embeddings do not depend on it.
        weights: a file to use in place of the recorded one; the record's id then tells.

    Raises:
        UsageError: an argument is out of range, or what it asks for is not installed.
        WorkError: the weights are missing or not those of the record.
    """
    record = identity_record(id)
    if record is DLIB_RESNET:
        if (engine, precision, weights) != (AUTO, AUTO, None):
            raise UsageError(f"{id} runs in dlib with its own weights; leave engine at auto")
        from common.identity.dlib_resnet import DlibResnet

        return DlibResnet(record)
    from common.identity.boxed import BoxedIdentity, boxed_network

    running = open_engine(
        boxed_network(record, weights), engine=engine, precision=precision, threads=threads
    )
    told = replace(record, id=f"{id}+{_digest(weights)[:12]}") if weights else record
    return BoxedIdentity(told, running)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WorkError(f"{path}: cannot be read ({error.strerror})") from error

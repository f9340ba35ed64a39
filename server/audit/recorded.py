"""A recorded run from its folder, ready to be attacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from common.errors import UsageError, WorkError
from server.audit.flower_transcript import load_transcript
from server.audit.shadow import plan_trainer
from server.audit.subject import Subject
from server.audit.transcript import Vector, truth_folder
from server.audit.truth import load_truth


def load_subject(
    folder: Path, *, federation: str = "", candidates: Path | None = None, seed: int = 0
) -> Subject:
    """Everything about a recorded run that attacks and their judge need.

    Args:
        folder: of the record.
        federation: which of its federations; empty takes the first.
        candidates: a file of further clips that no device trained on.
        seed: of the auditor's own draws.

    Raises:
        UsageError: the folder is no record, or candidates do not fit it.
        WorkError: something in it is damaged.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder; name one that mien simulate --record filled")
    transcript = load_transcript(folder, federation)
    known = load_truth(folder, candidates)
    dimension = transcript.final.specification.dimension
    if known is not None and known.clips.dimension != dimension:
        raise UsageError(
            f"candidates have {known.clips.dimension} numbers a frame, the run has {dimension}; "
            "extract them with the run's backbone"
        )
    if known is None and candidates is not None:
        raise UsageError(
            f"{truth_folder(folder)}: is missing, so that candidates' users can't be told apart"
        )
    trainer = plan_trainer(transcript.plan)
    return Subject(transcript, known, trainer, seed=seed, canaries=_canaries(truth_folder(folder)))


def _canaries(truth: Path) -> Vector | None:
    """(canaries, parameters) directions of length 1 that canary devices sent, if there were any."""
    path = truth / "canaries.safetensors"
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            return np.asarray(file.get_tensor("directions"), dtype=np.float64)
    except (OSError, SafetensorError) as error:
        raise WorkError(f"{path.name} does not hold canaries' directions: {error}") from error

"""What the researcher keeps beside a recorded run, so that an audit knows what is true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.clips import ClipSet
from common.errors import UsageError
from server.audit.transcript import truth_folder
from server.audit.truth import save_truth
from server.run import ServerPlan


def keep_truth(record: Path, plan: ServerPlan, clips: ClipSet, users: Sequence[str]) -> None:
    """Keep plan, clips and whose device has them in `record`-truth; nothing of it is sent.

    Args:
        record: folder that replies will be written to.
        plan: of the server.
        clips: all clips; every device trains on all of its user's.
        users: one per device, in the devices' order.

    Raises:
        UsageError: the folder holds another run's replies, which would be mixed with these.
    """
    if any(record.glob("*.bin")):
        raise UsageError(f"{record}: holds a recorded run already; name a new folder for --record")
    save_truth(record, clips, [[user] for user in users])
    plan.save(truth_folder(record) / "plan.json")

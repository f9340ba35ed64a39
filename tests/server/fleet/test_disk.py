"""A disk that is full: one sentence, nothing half-written, and on it goes when there is room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.fleet.rounds import CHECKPOINT, reports
from tests.server.fleet.fakes import plan_of, rounds, same

ROOT = Path(__file__).resolve().parents[3]
LIMITED = """
import resource, sys
from pathlib import Path
from common.errors import WorkError
from tests.server.fakes import sends
from tests.server.fleet.fakes import plan_of, rounds

folder, largest = Path(sys.argv[1]), int(sys.argv[2])
done = rounds(folder, plan_of("fedavg", rounds=int(sys.argv[3])))
if largest:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
try:
    done.run()
except WorkError as error:
    sys.exit(str(error))
"""


def limited(folder: Path, largest: int, wanted: int) -> tuple[int, str]:
    """Rounds in a process whose files may have `largest` bytes each, as on a disk without room."""
    told = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), str(largest), str(wanted)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
    )
    return told.returncode, told.stderr.strip()


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    assert limited(folder, 0, 1) == (0, "")
    before = (folder / CHECKPOINT).read_bytes()
    code, told = limited(folder, len(before) // 2, 3)
    assert code == 1
    assert told == (
        f"round 2 of fold-1 could not be kept in {folder} (File too large); make room: the round "
        "is asked for again, nothing is lost"
    )
    assert (folder / CHECKPOINT).read_bytes() == before
    assert not list(folder.rglob("*.tmp"))

    resumed = rounds(folder, plan_of("fedavg", rounds=3)).run()
    whole = rounds(tmp_path / "whole", plan_of("fedavg", rounds=3)).run()
    assert same(resumed.head, whole.head)
    assert [each["round"] for each in reports(folder)] == [0, 1, 2, 3]


def test_a_report_that_cannot_be_written_is_the_same_sentence(tmp_path: Path) -> None:
    code, told = limited(tmp_path / "fleet", 10, 1)
    assert (code, "could not be kept" in told) == (1, True)
    assert not (tmp_path / "fleet" / CHECKPOINT).exists()

"""What the server tells: one JSON object a line, and logs that stay bounded."""

from __future__ import annotations

import errno
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fleet.events import Event, bound_logs, json_line, round_event
from tests.server.fleet.statuses import report


@given(st.text(), st.dictionaries(st.text(), st.one_of(st.integers(), st.text())))
def test_an_event_is_one_line_whatever_is_in_it(sentence: str, fields: dict[str, object]) -> None:
    line = json_line(Event("x", sentence, fields), now=datetime(2026, 1, 2, tzinfo=UTC))
    assert len(line.splitlines()) == 1
    told = json.loads(line)
    expected = {"time": "2026-01-02T00:00:00.000+00:00", "event": "x", "message": sentence}
    assert told == expected | fields


def test_a_rounds_event_counts_and_does_not_quote() -> None:
    event = round_event(report(3, refused=["kitchen: not finite (secret)"], late=2))
    assert event.fields["refused"] == 1
    assert event.fields["late"] == 2
    assert event.fields["seconds"] == 4.25
    assert event.sentence == "round 3 is done in 4.2 s: 5 accepted, 1 refused, 2 late"
    assert "secret" not in json_line(event)


def test_large_logs_are_cut_and_the_writer_goes_on(tmp_path: Path) -> None:
    with (tmp_path / "superlink.log").open("ab", buffering=0) as writer:
        writer.write(b"a" * 100)
        (tmp_path / "proxy.log").write_bytes(b"b" * 10)
        assert bound_logs(tmp_path, largest=50) == ["superlink.log"]
        writer.write(b"new")
    assert (tmp_path / "superlink.log").read_bytes() == b"new"
    assert (tmp_path / "superlink.log.1").read_bytes() == b"a" * 100
    assert (tmp_path / "superlink.log.1").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "proxy.log").read_bytes() == b"b" * 10


def test_a_log_is_cut_also_where_there_is_no_room_to_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    (tmp_path / "superlink.log").write_bytes(b"a" * 100)
    assert bound_logs(tmp_path, largest=50) == ["superlink.log"]
    assert [(each.name, each.stat().st_size) for each in tmp_path.iterdir()] == [
        ("superlink.log", 0)
    ]

"""The ledger's chain shows an edit, a removal, a cut, a swap; nothing is added behind one."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.ledger import START, Ledger, LedgerBroken

Damage = Callable[[list[str]], list[str]]


def written(path: Path, count: int = 5) -> Ledger:
    ledger = Ledger(path / "ledger.jsonl")
    for number in range(count):
        ledger.append({"round": number, "federation": "Örk \u2028 line"})
    return ledger


def lines_of(path: Path) -> list[str]:
    return (path / "ledger.jsonl").read_text(encoding="utf-8").splitlines()


def damage(path: Path, change: Damage) -> None:
    text = "".join(f"{line}\n" for line in change(lines_of(path)))
    (path / "ledger.jsonl").write_text(text, encoding="utf-8")


def test_entries_come_back_in_order_and_chained(tmp_path: Path) -> None:
    entries = list(written(tmp_path).entries())
    assert [entry["round"] for entry in entries] == [0, 1, 2, 3, 4]
    assert entries[0]["previous"] == START
    assert [e["previous"] for e in entries[1:]] == [e["hash"] for e in entries[:-1]]


def test_a_ledger_is_private(tmp_path: Path) -> None:
    written(tmp_path)
    assert stat.S_IMODE((tmp_path / "ledger.jsonl").stat().st_mode) == 0o600


def test_no_file_is_an_empty_ledger(tmp_path: Path) -> None:
    assert list(Ledger(tmp_path / "ledger.jsonl").entries()) == []


def edit(lines: list[str]) -> list[str]:
    return [line.replace('"round": 2', '"round": 7') for line in lines]


def edit_and_rehash(lines: list[str]) -> list[str]:
    """An edited line with a hash of its own that fits it, but not the line behind."""
    from client.ledger import _hash

    entry = {k: v for k, v in json.loads(lines[2]).items() if k != "hash"} | {"round": 7}
    return [*lines[:2], json.dumps({**entry, "hash": _hash(entry)}), *lines[3:]]


def remove(lines: list[str]) -> list[str]:
    return [*lines[:2], *lines[3:]]


def remove_first(lines: list[str]) -> list[str]:
    return lines[1:]


def cut(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[2][:-30], *lines[3:]]


def swap(lines: list[str]) -> list[str]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def repeat(lines: list[str]) -> list[str]:
    return [*lines[:3], lines[2], *lines[3:]]


def blank(lines: list[str]) -> list[str]:
    return [*lines[:2], "", *lines[2:]]


def no_object(lines: list[str]) -> list[str]:
    return [*lines[:2], "[1, 2]", *lines[3:]]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (edit, 3),
        (edit_and_rehash, 4),
        (remove, 3),
        (remove_first, 1),
        (cut, 3),
        (swap, 2),
        (repeat, 4),
        (blank, 3),
        (no_object, 3),
    ],
)
def test_the_chain_shows_the_first_line_that_was_tampered_with(
    tmp_path: Path, change: Damage, line: int
) -> None:
    ledger = written(tmp_path)
    damage(tmp_path, change)
    with pytest.raises(LedgerBroken, match=f"line {line} "):
        list(ledger.entries())


@pytest.mark.parametrize("lost", [1, 2, 40, 150])
def test_nothing_is_added_behind_a_line_that_a_crash_cut(tmp_path: Path, lost: int) -> None:
    """1: only the line's end is missing, so that the next entry would share its line."""
    ledger = written(tmp_path)
    path = tmp_path / "ledger.jsonl"
    content = path.read_bytes()[:-lost]
    path.write_bytes(content)
    with pytest.raises(LedgerBroken, match="line 5 "):
        ledger.append({"round": 5})
    with pytest.raises(LedgerBroken, match="line 5 "):
        list(ledger.entries())
    assert path.read_bytes() == content


def test_bytes_that_are_no_text_are_a_broken_ledger(tmp_path: Path) -> None:
    ledger = written(tmp_path)
    with (tmp_path / "ledger.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n")
    for attempt in (lambda: ledger.append({}), lambda: list(ledger.entries())):
        with pytest.raises(LedgerBroken):
            attempt()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "ledger.jsonl"
    path.unlink(missing_ok=True)
    ledger = written(tmp_path, 3)
    content = bytearray(path.read_bytes())
    before = list(ledger.entries())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        after = list(ledger.entries())
    except LedgerBroken:
        return
    assert after == before  # white space between tokens says nothing

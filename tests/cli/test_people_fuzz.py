"""Whatever is typed, the commands on people and clips end in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.recognition import recogniser as recognition
from common.expressions import EXPRESSIONS
from tests.cli.people_device import Mien
from tests.client.device.fakes import FakeRecogniser


@pytest.fixture
def mien(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mien:
    monkeypatch.setattr(recognition, "Recogniser", FakeRecogniser)
    return Mien(tmp_path)


COMMANDS: dict[str, tuple[str, ...]] = {
    "enrol": ("--agree", "--federate", "--json"),
    "recognise": ("--no-keep", "--json"),
    "correct": ("--undo", "--discard", "--json"),
    "clips": ("--limit", "--json"),
    "users": ("--json",),
    "personalise": ("--json",),
    "export": ("--full", "--json"),
    "ledger": ("--json",),
    "forget": ("--yes", "--json"),
}
WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
    st.sampled_from(
        ("Ada", "sad", "0" * 32, "", "-", "--", "/", "..", "[red]", "x\udcff.mp4", *EXPRESSIONS)
    ),
)
"""No argument of a process can hold a null character."""


@pytest.mark.parametrize("command", sorted(COMMANDS))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_input_ends_in_a_sentence(mien: Mien, command: str, data: st.DataObject) -> None:
    words = data.draw(st.lists(WORDS, max_size=3))
    options = data.draw(st.lists(st.sampled_from(COMMANDS[command]), max_size=2))
    done = mien(command, *words, *options)
    assert done.code in (0, 1, 2)
    assert "mien: unexpected" not in done.err
    if done.code:
        assert done.err.strip()

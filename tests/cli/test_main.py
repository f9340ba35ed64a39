"""Exit codes, one sentence per error, and what a start costs."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

import pytest

import cli.simulate
from common.errors import UsageError, WorkError
from tests.cli.command import Command, mien_process


def raising(error: BaseException) -> object:
    def run(*_: object, **__: object) -> None:
        raise error

    return run


def one_sentence(text: str) -> bool:
    return text.startswith("mien: ") and text.endswith("\n") and text.count("\n") == 1


def test_the_installed_program_is_this_one() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="console_scripts", name="mien")
    assert found.value == "cli.main:run"


def test_version(mien: Command) -> None:
    done = mien("--version")
    assert (done.code, done.out) == (0, f"mien {version('mien')}\n")


def test_help_in_a_process_of_its_own() -> None:
    done = mien_process("--help")
    assert done.code == 0
    assert "simulate" in done.out
    assert "--debug" in done.out
    assert done.err == ""


def test_a_wrong_value_in_a_process_of_its_own() -> None:
    done = mien_process("simulate", "--rounds", "0")
    assert done.code == 2
    assert done.out == ""
    assert one_sentence(done.err)
    assert "rounds" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("the table is wrong"), 2), (WorkError("no device came"), 1)]
)
def test_an_expected_error_is_its_own_sentence(
    mien: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    monkeypatch.setattr(cli.simulate, "run", raising(error))
    done = mien("simulate")
    assert (done.code, done.out, done.err) == (code, "", f"mien: {error}\n")


def test_an_unexpected_error_is_a_sentence_too(
    mien: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.simulate, "run", raising(KeyError("surprise\nof two lines")))
    done = mien("simulate")
    assert (done.code, done.out) == (1, "")
    assert one_sentence(done.err)
    assert "KeyError" in done.err
    assert "--debug" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [("--debug", "simulate"), ("simulate", "--debug")])
def test_debug_shows_where(
    mien: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(cli.simulate, "run", raising(WorkError("no device came")))
    done = mien(*arguments)
    assert done.code == 1
    assert "Traceback" in done.err
    assert "mien: no device came\n" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    "text", ["[/] [red]x[/red]", "[bold", "a\\[b", "ends in \\", "100 % {x}", "[/tmp/x.csv]: no"]
)
def test_an_error_s_text_is_shown_as_it_is(
    mien: Command, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(cli.simulate, "run", raising(UsageError(text)))
    done = mien("simulate")
    assert (done.code, done.err) == (2, f"mien: {text}\n")


def test_a_long_error_is_one_line(mien: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.simulate, "run", raising(UsageError("word " * 200 + "end")))
    assert mien("simulate").err.count("\n") == 1


def test_an_interrupt_ends_quietly(mien: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.simulate, "run", raising(KeyboardInterrupt()))
    done = mien("simulate")
    assert done.code == 130
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [("nonsense",), ("simulate", "--nonsense", "1"), ("--x",)])
def test_unknown_commands_and_options(mien: Command, arguments: tuple[str, ...]) -> None:
    done = mien(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err


def test_without_arguments_the_help_is_shown(mien: Command) -> None:
    done = mien()
    assert "simulate" in done.out + done.err


@pytest.mark.parametrize(
    "name", ["FLWR_TELEMETRY_ENABLED", "FLWR_DISABLE_UPDATE_CHECK", "OPENBLAS_NUM_THREADS"]
)
def test_the_environment_is_set_before_flower_and_numpy_come(name: str) -> None:
    assert name in os.environ
    assert "cli.main" in sys.modules

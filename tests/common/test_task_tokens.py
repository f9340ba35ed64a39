"""Tokens on no command line, and yet where Flower's own programs look for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from flwr.supercore.constant import TASK_TYPE_TO_COMMAND, TaskType
from flwr.supercore.superexec.executor import subprocess_executor
from flwr.supercore.superexec.executor.types import ExecutionSpec

from common.task_tokens import TokensOffCommandLine, keep_tokens_off
from tests.client.daemon.fakes import wait_for

TOKEN = "5ecret" * 8
APP = """#!{python}
import argparse, os, sys
from flwr.common.args import add_args_flwr_app_common, try_obtain_flwr_app_token
parser = argparse.ArgumentParser()
parser.add_argument("--runtime-api-address")
add_args_flwr_app_common(parser)
token = try_obtain_flwr_app_token(parser.parse_args())
listed = open(f"/proc/{{os.getpid()}}/cmdline").read()
open({told!r} + ".new", "w").write(token + "\\n" + listed)
os.rename({told!r} + ".new", {told!r})
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads Linux's /proc")
def test_flowers_apps_get_their_token_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = TaskType.CLIENT_APP
    told = tmp_path / "told"
    app = tmp_path / TASK_TYPE_TO_COMMAND[kind]
    app.write_text(APP.format(python=sys.executable, told=str(told)))
    app.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(subprocess_executor, "subprocess", subprocess)
    keep_tokens_off(subprocess_executor)
    spec = ExecutionSpec(
        task_type=kind,
        runtime_api_address="localhost:1",
        token=TOKEN,
        insecure=True,
        root_certificates_path=None,
        runtime_dependency_install=False,
        parent_pid=None,
        suppress_output=False,
        task_id=1,
    )
    assert subprocess_executor.SubprocessExecutor().launch(spec)
    wait_for(told.exists)
    token, listed = told.read_text().split("\n", 1)
    assert token == TOKEN
    assert TOKEN not in listed
    assert "--token-file" in listed


def test_other_programs_are_started_as_they_are() -> None:
    stand_in = TokensOffCommandLine()
    done = stand_in.Popen([sys.executable, "-c", "print(7)"], stdout=stand_in.PIPE)
    assert done.communicate()[0] == b"7\n"


def test_a_flower_that_starts_its_apps_otherwise_is_refused() -> None:
    with pytest.raises(RuntimeError, match="in another way"):
        keep_tokens_off(ModuleType("launcher"))

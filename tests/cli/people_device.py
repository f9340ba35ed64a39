"""The commands on people and clips, run in this process on a device of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from cli import people
from cli.console import exit_code_of
from client.device.device import Device
from client.device.place import write_device
from client.vault.vault import Vault, unlock
from tests.cli.command import Done
from tests.client.device.fakes import PASSPHRASE, clip_file, new_vault

APP = typer.Typer(pretty_exceptions_enable=False)
people.register(APP)
FOUR = ("happy", "calm", "angry", "surprised")


class Mien:
    """Runs commands on one device and looks into its vault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.device = folder / "device"
        self.clips = folder / "clips"
        self.clips.mkdir()
        write_device(
            self.device, {"key": {"source": "passphrase"}, "backbone": "b", "identity": ""}
        )
        new_vault(self.device).close()
        (folder / "passphrase").write_text(PASSPHRASE.text)

    def __call__(self, *arguments: str, input: str = "", opening: bool = True) -> Done:
        given = [*arguments]
        if opening:
            given[1:1] = ["--passphrase-file", str(self.folder / "passphrase")]
        environment = {"MIEN_DEVICE": str(self.device), "COLUMNS": "200"}
        done = CliRunner().invoke(APP, given, input=input, env=environment)
        if done.exception is None or isinstance(done.exception, SystemExit):
            return Done(done.exit_code, done.stdout, done.stderr)
        with people.errors.capture() as caught:
            code = exit_code_of(done.exception, debug=False)
        return Done(code, done.stdout, done.stderr + caught.get())

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert done.code == 0, done
        return json.loads(done.out)

    def clip(
        self, person: str = "Ada", expression: str = "happy", take: int = 0, **more: Any
    ) -> str:
        return str(clip_file(self.clips, person, expression, take, **more))

    def enrol(self, name: str = "Ada", *options: str) -> Any:
        return self.json("enrol", name, self.clip(name, take=900), "--agree", *options)

    def corrected(self, expressions: tuple[str, ...] = FOUR * 4) -> None:
        with self.vault() as vault:
            device = Device(vault)
            clips = [
                self.clip("Ada", name, take, own="sad" if take % 2 else name)
                for take, name in enumerate(expressions)
            ]
        self.json("recognise", *clips)
        with self.vault() as vault:
            device = Device(vault)
            for clip, name in zip(clips, expressions, strict=True):
                device.correct(Path(clip).name, name)

    def vault(self) -> Vault:
        return Vault(self.device, unlock(self.device, PASSPHRASE))

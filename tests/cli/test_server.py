"""`mien server`: from an empty folder to a fleet with devices and releases."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import cli.console
from cli import server
from cli.console import exit_code_of
from common.enrolment import Bundle, certificate_request, device_key
from common.enrolment.bundle import fingerprint_of
from common.heads.specification import HeadSpecification
from common.heads.universal import initial_head
from common.releases import Adopted
from server.authority import Authority
from server.run import save_head
from tests.cli.command import Done

SPECIFICATION = HeadSpecification(kind="logistic", dimension=2, features="made-up/1")


class Runner:
    """`mien server COMMAND` on one fleet, with errors as the program tells them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "fleet"

    def __call__(self, command: str, *arguments: str, columns: int = 200) -> Done:
        place = [str(self.folder)] if command == "init" else ["--folder", str(self.folder)]
        app = typer.Typer()
        app.add_typer(server.app, name="server")
        line = ["server", command, *place, *arguments]
        done = CliRunner().invoke(app, line, env={"COLUMNS": str(columns)})
        if done.exception is None or isinstance(done.exception, SystemExit):
            return Done(done.exit_code, done.output, "")
        with cli.console.errors.capture() as told:
            code = exit_code_of(done.exception, debug=False)
        return Done(code, done.output, told.get())

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert done.code == 0, done.err + done.out
        return json.loads(done.out)

    def path(self, name: str) -> str:
        return str(self.root / name)

    def request(self, name: str) -> str:
        path = self.root / f"{name}.csr"
        path.write_text(certificate_request(device_key(), name))
        return str(path)

    def add(self, name: str) -> dict[str, Any]:
        out = self.path(f"{name}.json")
        made: dict[str, Any] = self.json(
            "add-device", name, "--key", self.request(name), "--out", out
        )
        return made

    def head(self, seed: int = 1) -> str:
        path = self.root / f"head-{seed}.safetensors"
        made = initial_head(SPECIFICATION, seed)
        for array in made.arrays.values():
            array += seed
        save_head(path, made)
        return str(path)


@pytest.fixture
def bare(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture
def mien(bare: Runner) -> Runner:
    bare.json("init", "--address", "fleet.example:443", "--loopback")
    return bare


def test_init_tells_what_to_compare(bare: Runner) -> None:
    done = bare("init", "--address", "fleet.example:443", "--host", "192.0.2.7")
    assert done.code == 0
    settings = Authority(bare.folder).settings
    assert fingerprint_of(settings.operator_key) in done.out
    assert settings.hosts == ("fleet.example", "192.0.2.7")
    assert "PRIVATE" not in done.out


def test_init_with_loopback_as_json(bare: Runner) -> None:
    made = bare.json("init", "--address", "127.0.0.1:8443", "--loopback", "--fleet", "home")
    assert made["fleet"] == "home"
    assert made["hosts"] == ["127.0.0.1", "localhost", "::1"]


def test_init_is_done_once(mien: Runner) -> None:
    before = (mien.folder / "settings.json").read_bytes()
    done = mien("init", "--address", "fleet.example:443")
    assert (done.code, "something in it" in done.err) == (2, True)
    assert (mien.folder / "settings.json").read_bytes() == before


def test_a_device_with_a_key_of_its_own(mien: Runner) -> None:
    made = mien.add("kitchen")
    assert made["secret"] is False
    path = Path(made["bundle"])
    bundle = Bundle.from_json(path.read_bytes())
    bundle.check(fingerprint_of(Authority(mien.folder).settings.operator_key))
    assert (bundle.device, bundle.private_key) == ("kitchen", None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_device_whose_key_is_made_here_is_said_clearly(mien: Runner) -> None:
    out = mien.path("bundle.json")
    done = mien("add-device", "kitchen", "--make-key", "--out", out)
    assert done.code == 0
    assert "WARNING: the bundle holds the device's private key" in done.out
    assert "PRIVATE KEY" not in done.out
    assert "OPENSSH PRIVATE KEY" in str(Bundle.from_json(Path(out).read_bytes()).private_key)


@pytest.mark.parametrize("options", [(), ("--make-key", "--key", "x")])
def test_where_the_key_is_made_must_be_said(mien: Runner, options: tuple[str, ...]) -> None:
    done = mien("add-device", "kitchen", *options)
    assert (done.code, "either --key FILE" in done.err) == (2, True)


def test_wrong_devices_are_told_and_nothing_is_changed(mien: Runner) -> None:
    mien.add("kitchen")
    wrong = mien.root / "wrong"
    wrong.write_text("no key")
    out = ("--out", mien.path("other.json"))
    for arguments, reason in (
        (("kitchen", "--key", mien.request("a"), *out), "enrolled already"),
        (("hall", "--key", mien.path("kitchen.csr"), *out), "enrolled as kitchen already"),
        (("hall", "--key", str(wrong), *out), "no signing request"),
        (("hall", "--key", mien.path("missing"), *out), "can't be read"),
        (("Hall", "--key", mien.request("b"), *out), "device name"),
        (("hall", "--key", mien.request("c"), "--out", str(wrong)), "not written over"),
    ):
        done = mien("add-device", *arguments)
        assert (done.code, reason in done.err) == (2, True), done.err
    assert [row["name"] for row in mien.json("devices")] == ["kitchen"]
    assert not (mien.root / "other.json").exists()


def test_a_revoked_device_is_shown_with_the_reason(mien: Runner) -> None:
    mien.add("kitchen")
    mien.add("hall")
    assert mien("revoke", "kitchen", "--reason", "sold [on]").code == 0
    states = {row["name"]: (row["state"], row["reason"]) for row in mien.json("devices")}
    assert states == {"kitchen": ("revoked", "sold [on]"), "hall": ("active", None)}
    shown = mien("devices", columns=80)
    assert "sold [on]" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    again = mien("revoke", "kitchen", "--reason", "sold")
    assert (again.code, "no active device 'kitchen'" in again.err) == (2, True)
    assert mien("revoke", "hall").code == 2  # a reason is needed


def test_a_device_is_renewed_into_a_new_file(mien: Runner) -> None:
    first = Bundle.from_json(Path(mien.add("kitchen")["bundle"]).read_bytes())
    (made,) = mien.json("renew", "kitchen", "--out", str(mien.root))
    second = Bundle.from_json(Path(made["bundle"]).read_bytes())
    assert second.certificate != first.certificate
    assert second.private_key is None
    done = mien("renew", "kitchen", "--out", str(mien.root))
    assert (done.code, "not written over" in done.err) == (2, True)
    assert (
        len(
            Authority(mien.folder).devices.certificates(
                Authority(mien.folder).devices.active("kitchen")
            )
        )
        == 2
    )


def test_only_what_is_due_is_renewed(mien: Runner) -> None:
    authority = Authority(mien.folder)
    for name, days in (("old", 340), ("new", 10)):
        request = certificate_request(device_key(), name).encode()
        authority.add_device(name, request, now=datetime.now(UTC) - timedelta(days=days))
    made = mien.json("renew", "--due", "--out", str(mien.root))
    assert [each["device"] for each in made] == ["old"]
    assert mien("renew", "--due").out.strip() == "Nothing ends within 60 days."


def test_the_server_is_renewed(mien: Runner) -> None:
    before = Authority(mien.folder).server.serial_number
    (made,) = mien.json("renew", "--server", "--host", "fleet.example", "--host", "192.0.2.9")
    assert made["server"] is True
    authority = Authority(mien.folder)
    assert authority.server.serial_number != before
    assert authority.settings.hosts == ("fleet.example", "192.0.2.9")
    wrong = mien("renew", "--server", "--host", "elsewhere.example")
    assert (wrong.code, "not among its certificate's hosts" in wrong.err) == (2, True)
    for arguments in ((), ("--host", "a.example", "kitchen")):
        assert mien("renew", *arguments).code == 2


def test_heads_are_published_and_adopted(mien: Runner) -> None:
    kitchen = Bundle.from_json(Path(mien.add("kitchen")["bundle"]).read_bytes())
    first = mien.json("publish", mien.head(1), "--round", "30", "--metric", "uar=0.5")
    assert (first["sequence"], first["metrics"], first["epsilon"]) == (1, {"uar": 0.5}, None)
    assert mien.json("publish", mien.head(1), "--round", "30")["sequence"] == 1  # again
    spent = ("--epsilon", "2", "--delta", "1e-5")
    second = mien.json("publish", mien.head(2), "--round", "31", *spent, "--rotate-key")
    third = mien.json("publish", mien.head(3), "--round", "32")
    rows = mien.json("releases")
    assert [row["sha256"] for row in rows] == [each["sha256"] for each in (first, second, third)]
    assert (rows[1]["epsilon"], rows[1]["next_key"] is not None) == (2.0, True)
    shown = mien("releases", columns=80)
    assert third["sha256"][:16] in shown.out
    state = Adopted(
        fleet=kitchen.fleet,
        key=kitchen.signing_key,
        floor=kitchen.floor,
        specification=SPECIFICATION,
        expressions=Authority(mien.folder).registry.history()[0].expressions,
    )
    for row in rows:
        state, release, _ = state.accept(Path(row["path"]))
        assert float(release.arrays["user.bias"][0]) == row["sequence"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--metric", "uar"), "NAME=NUMBER"),
        (("--metric", "uar=high"), "NAME=NUMBER"),
        (("--metric", "uar=nan"), "finite"),
        (("--epsilon", "1"), "privacy spent"),
        (("--epsilon", "-1", "--delta", "0.1"), "privacy spent"),
    ],
)
def test_a_publication_that_is_out_of_order(
    mien: Runner, options: tuple[str, ...], reason: str
) -> None:
    done = mien("publish", mien.head(), "--round", "1", *options)
    assert (done.code, reason in done.err) == (2, True), done.err
    assert mien.json("releases") == []


def test_a_file_that_is_no_head(mien: Runner) -> None:
    path = mien.root / "x.safetensors"
    path.write_bytes(b"no head")
    done = mien("publish", str(path), "--round", "1")
    assert (done.code, "x.safetensors is not a universal head" in done.err) == (1, True)


@pytest.mark.parametrize("command", ["devices", "releases"])
def test_a_folder_without_a_fleet(bare: Runner, command: str) -> None:
    done = bare(command)
    assert (done.code, "mien server init" in done.err) == (2, True)
    assert list(bare.root.iterdir()) == []


def test_a_broken_chain_is_told(mien: Runner) -> None:
    for round in (1, 2):
        mien.json("publish", mien.head(round), "--round", str(round))
    (mien.folder / "releases/00000001.release").unlink()
    done = mien("releases")
    assert (done.code, "00000001.release is missing" in done.err) == (1, True)

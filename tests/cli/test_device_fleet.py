"""`mien device join` and `leave`: two steps, one comparison, and what the status then tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.adoption import adopt
from common.enrolment.bundle import fingerprint_of
from common.releases.errors import WrongKey
from server.authority.authority import Authority
from tests.cli.command import Command
from tests.client.fleet_device import chain, opened


@pytest.fixture
def made(mien: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device with a key file, the default of all commands."""
    monkeypatch.setenv("MIEN_DEVICE", str(tmp_path / "device"))
    assert mien("device", "init", "--key-file", str(tmp_path / "key")).code == 0
    return tmp_path / "device"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "fleet", address="localhost:8443")


def bundle_file(mien: Command, authority: Authority, root: Path) -> Path:
    request, path = root / "kitchen.csr", root / "kitchen.bundle.json"
    done = mien("device", "join", "--request", str(request))
    assert done.code == 0, done.err
    assert "mien server add-device NAME --key" in done.out
    path.write_text(authority.add_device("kitchen", request.read_bytes()).to_json())
    return path


def test_a_device_joins_and_leaves(
    mien: Command, made: Path, authority: Authority, tmp_path: Path
) -> None:
    path = bundle_file(mien, authority, tmp_path)
    fingerprint = fingerprint_of(authority.settings.operator_key)
    done = mien("device", "join", str(path))
    assert done.code == 2
    assert fingerprint in done.err
    done = mien("device", "join", str(path), "--fingerprint", "00")
    assert done.code == 1
    done = mien("device", "join", str(path), "--fingerprint", fingerprint)
    assert done.code == 0, done.err
    assert f"Joined: fleet {authority.settings.fleet} at localhost:8443, as kitchen" in done.out
    path.write_text(authority.renew("kitchen").to_json())
    done = mien("device", "join", str(path))
    assert done.out.startswith("Renewed: "), "the operator is pinned: no comparison again"
    assert "no release yet" in mien("device", "status").out
    done = mien("device", "leave")
    assert done.code == 0, done.err
    assert "mien server revoke kitchen" in done.out
    assert "fleet" not in json.loads((made / "device.json").read_text())
    assert "was in no fleet" in mien("device", "leave").out


def test_a_device_shows_its_certificate_where_it_was_told_to(
    mien: Command, made: Path, authority: Authority, tmp_path: Path
) -> None:
    path = bundle_file(mien, authority, tmp_path)
    fingerprint = fingerprint_of(authority.settings.operator_key)
    found = []
    for words in (
        ("--fingerprint", fingerprint),
        ("--show-certificate",),
        (),
        ("--no-show-certificate",),
    ):
        done = mien("device", "join", str(path), *words)
        assert done.code == 0, done.err
        told = json.loads((made / "device.json").read_text())["fleet"]
        found.append(told.get("certificate"))
    shown = str(made / "fleet/device.crt")
    assert found == [None, shown, shown, None], "a renewal keeps what was chosen"


def test_a_refused_release_is_told_in_the_status(
    mien: Command, made: Path, authority: Authority, tmp_path: Path
) -> None:
    path = bundle_file(mien, authority, tmp_path)
    fingerprint = fingerprint_of(authority.settings.operator_key)
    assert mien("device", "join", str(path), "--fingerprint", fingerprint).code == 0
    (foreign,) = chain(1)
    with opened(made) as vault, pytest.raises(WrongKey):
        adopt(vault, foreign)
    shown = mien("device", "status").out
    assert "release 1 refused: the release is signed by key" in shown
    told = json.loads(mien("device", "status", "--json").out)["vault"]["fleet"]
    assert (told["release"], len(told["refusals"])) == (0, 1)


@pytest.mark.parametrize("given", [(), ("bundle.json", "--request", "file")])
def test_either_a_request_or_a_bundle(mien: Command, made: Path, given: tuple[str, ...]) -> None:
    del made
    done = mien("device", "join", *given)
    assert done.code == 2
    assert "either --request FILE" in done.err


def test_go_back_to_the_head_before(mien: Command, made: Path) -> None:
    del made
    assert mien("device", "head").code == 2
    done = mien("device", "head", "--previous")
    assert (done.code, "no universal head from before" in done.err) == (2, True)

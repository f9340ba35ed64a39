"""`mien avatar`: what it prints and refuses; the networks are small ones that read colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import avatar, avatar_data
from cli.console import exit_code_of
from client.avatar import check as checking
from client.avatar.png import png_of
from client.avatar.store import DrawnChoice, GeneratorChoice, avatar_of
from client.device.place import write_device
from client.vault.vault import KeyFile, Vault, create_vault, make_key_file, unlock
from simulations.avatar_data import reading, sheets, tuning
from tests.cli.command import Done
from tests.client.avatar.fakes import checker, coloured_sheet, flat
from tests.client.avatar.networks import digest, plain_onnx, toy_onnx, toy_torchscript
from tests.client.web.fakes import person
from tests.simulations.avatar_data.fakes import face_folder


class Mien:
    """Runs `mien avatar` in this process."""

    def __init__(self, device: Path) -> None:
        self.device = device

    def __call__(self, *arguments: object) -> Done:
        given = [str(each) for each in arguments]
        environment = {"MIEN_DEVICE": str(self.device), "COLUMNS": "160"}
        done = CliRunner().invoke(avatar.app, given, env=environment)
        if done.exception is None or isinstance(done.exception, SystemExit):
            return Done(done.exit_code, done.stdout, done.stderr)
        from cli.console import errors

        with errors.capture() as caught:
            code = exit_code_of(done.exception, debug=False)
        return Done(code, done.stdout, done.stderr + caught.get())

    def json(self, *arguments: object) -> Any:
        done = self(*arguments, "--json")
        assert done.code == 0, done
        return json.loads(done.out)


@pytest.fixture
def mien(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mien:
    """Without a device; all networks read colours, and avatars are drawn as flat pictures."""

    def load(backbone: str, **options: Any) -> Any:
        kept = {name: options.get(name) for name in ("readers", "avatars", "detector")}
        return checker(**kept)

    for module in (checking, reading, tuning):
        monkeypatch.setattr(module, "load_checker", load)
    monkeypatch.setattr(sheets, "draw_sheet", lambda look: coloured_sheet(name=f"look {look}"))
    return Mien(tmp_path / "device")


@pytest.fixture
def device(mien: Mien, tmp_path: Path) -> Path:
    """A device on which Ada is enrolled; opened by a key file."""
    key = KeyFile(tmp_path / "key")
    make_key_file(key.path)
    with create_vault(mien.device, key) as vault:
        person(vault, "Ada")
    write_device(mien.device, {"key": {"source": "file", "path": str(key.path)}})
    return mien.device


def choice(device: Path) -> Any:
    with Vault(device, unlock(device, KeyFile(device.parent / "key"))) as vault:
        user = vault.user("Ada")
        assert user is not None
        return avatar_of(vault, user.id)


def picture(folder: Path, expression: str) -> Path:
    path = folder / f"{expression}.png"
    path.write_bytes(png_of(flat(expression)))
    return path


def test_check_says_whether_they_agree(mien: Mien, tmp_path: Path) -> None:
    happy, sad = picture(tmp_path, "happy"), picture(tmp_path, "sad")
    told = mien.json("check", happy, sad)
    assert (told["same"], told["real"], told["avatar"]["expression"]) == (False, "happy", "sad")
    assert told["face"]["head"] == "backbone"
    assert "They differ. In fact: happy." in mien("check", happy, sad).out
    assert "same expression" in mien("check", happy, happy).out


def test_check_with_a_user_uses_the_device(mien: Mien, device: Path, tmp_path: Path) -> None:
    happy = picture(tmp_path, "happy")
    assert "Ada: happy" in mien("check", happy, happy, "--user", "Ada").out
    done = mien("check", happy, happy, "--user", "Bo")
    assert (done.code, "nobody is enrolled here as 'Bo'" in done.err) == (2, True)
    done = mien("check", happy, happy, "--user", "Ada", "--backbone", "mini-xception")
    assert "the device's own" in done.err


@pytest.mark.parametrize("content", [None, b"", b"GIF89a", bytes(100)])
def test_check_names_what_is_no_picture(mien: Mien, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "picture.png"
    if content is not None:
        path.write_bytes(content)
    done = mien("check", picture(tmp_path, "happy"), path)
    assert done.code == 2
    assert "picture.png" in done.err


def test_check_needs_a_detector_that_is_one(mien: Mien, tmp_path: Path) -> None:
    happy, junk = picture(tmp_path, "happy"), tmp_path / "junk"
    junk.write_bytes(b"junk")
    for option in ("--detector", "--avatar-head"):
        done = mien("check", happy, happy, option, junk)
        assert (done.code, "junk" in done.err) == (1, True)
    assert mien("check", happy, happy, "--passphrase-file", junk).code == 2


def test_a_drawn_avatar_is_set_and_removed(mien: Mien, device: Path, tmp_path: Path) -> None:
    done = mien("new", "Ada", "--look", 7, "--preview", tmp_path / "sheet.png")
    assert (done.code, "look 7" in done.out) == (0, True)
    found = choice(device)
    assert isinstance(found, DrawnChoice)
    assert found.own is not None
    assert (tmp_path / "sheet.png").read_bytes() == coloured_sheet().to_png()
    happy = picture(tmp_path, "happy")
    assert mien.json("check", happy, happy, "--user", "Ada")["avatar"]["head"] == "avatar"
    assert "no avatar any more" in mien("remove", "Ada").out
    assert choice(device) is None
    assert "had no avatar" in mien("remove", "Ada").out


def test_a_generator_becomes_the_avatar(mien: Mien, device: Path, tmp_path: Path) -> None:
    path = toy_onnx(tmp_path)
    assert "S = 0.4" in mien("new", "Ada", "--generator", path, "--structure", 0.4).out
    found = choice(device)
    assert isinstance(found, GeneratorChoice)
    assert (found.path, found.sha256, found.structure) == (path, digest(path), 0.4)


def test_torchscript_needs_trust(mien: Mien, device: Path, tmp_path: Path) -> None:
    path = toy_torchscript(tmp_path)
    done = mien("new", "Ada", "--generator", path)
    assert (done.code, "--trust" in done.err) == (2, True)
    assert choice(device) is None
    assert mien("new", "Ada", "--generator", path, "--trust", digest(path)).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "Ada", "--structure", "0.2"], "go with --generator"),
        (["new", "Bo"], "nobody is enrolled"),
        (["sweep", "--s", "a"], "expected numbers"),
        (["sweep", "--faces", "x"], "goes with --generator"),
        (["dataset", "x", "--wrong", "2"], "expected a share"),
        (["dataset", "x", "--faces", "y"], "goes with --generator"),
        (["quality"], "either a folder of PAIRS or"),
        (["fine-tune", "x", "--out", "y"], "either --network"),
        (["fine-tune", "x", "--out", "y", "--backbone", "b", "--epochs", "3"], "--network"),
        (["fine-tune", "x", "--out", "y", "--backbone", "b"], "no readable pairs"),
    ],
)
def test_wrong_use_gets_one_sentence(
    mien: Mien, device: Path, arguments: list[str], said: str
) -> None:
    done = mien(*arguments)
    assert done.code in (1, 2)
    assert said in done.err
    assert "Traceback" not in done.err


def test_from_faces_to_pairs_to_figures_to_a_head(mien: Mien, tmp_path: Path) -> None:
    """A generator that turns levels round: no expression but the middle ones survives it."""
    generator = plain_onnx(tmp_path)
    people = face_folder(tmp_path / "people")
    pairs, head = tmp_path / "pairs", tmp_path / "head.safetensors"
    told = mien.json("dataset", pairs, "--generator", generator, "--faces", people, "--wrong", 0.25)
    assert (told["pairs"], told["mismatches"], told["synthetic"]) == (24, 6, False)
    told = mien.json("quality", pairs)
    assert (told["labelled"]["share"], told["synthetic"]) == (0.75, False)
    assert told["read"]["share"] == 0.0
    told = mien.json("quality", "--generator", generator, "--faces", people)
    assert told["read"]["by_expression"]["happy"]["share"] == 0.0
    told = mien.json("fine-tune", pairs, "--backbone", "coloured", "--out", head)
    assert told["before"]["share"] == 0.0
    assert told["after"]["share"] > 0.5
    face = next((pairs / "ada").glob("*-face.png"))
    made = face.with_name(face.name.replace("face", "avatar"))
    assert mien.json("check", face, made, "--avatar-head", head)["avatar"]["head"] == "avatar"


def test_a_sweep_of_a_file_prints_a_table(mien: Mien, tmp_path: Path) -> None:
    people = face_folder(tmp_path / "people")
    arguments = ("--generator", toy_onnx(tmp_path), "--faces", people, "--c", "0.1,1")
    told = mien.json("sweep", *arguments, "--s", "0.225")
    assert [row["published_percent"] for row in told["rows"]] == [56.222, None]
    assert told["unknown_to_the_reader"] == ["calm"]
    assert told["synthetic"] is False
    done = mien("sweep", *arguments, "--s", "0.225")
    assert "published %" in done.out
    assert "56.222" in done.out
    assert "SYNTHETIC" not in done.out


@pytest.mark.slow
def test_drawn_figures_are_called_synthetic(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avatar_data, "_READER_ACTORS", 2)
    done = mien("sweep", "--actors", 2, "--s", "1", "--c", "1")
    assert (done.code, "SYNTHETIC" in done.out) == (0, True), done.err

"""`mien server rounds start`: what it settles once, and that nothing given later is passed over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.server import app
from common.errors import UsageError
from common.heads.universal import initial_head
from server.authority.authority import Authority
from server.fleet.begin import default_settings
from server.fleet.folder import FleetFolder, Wanted
from server.run import REFERENCE, save_head

BARE = ("--no-secure-sum", "--clip-norm", "2")


@pytest.fixture
def fleet(tmp_path: Path) -> FleetFolder:
    Authority.create(tmp_path / "fleet", address="localhost:1")
    return FleetFolder(tmp_path / "fleet")


def ran(fleet: FleetFolder, *words: str) -> str:
    told = CliRunner().invoke(
        app, ["rounds", *words, "--folder", str(fleet.root)], catch_exceptions=False
    )
    assert told.exit_code == 0, told.output
    return told.output


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> FleetFolder:
    """A fleet whose federation has begun."""
    root = tmp_path_factory.mktemp("begun") / "fleet"
    Authority.create(root, address="localhost:1")
    ran(FleetFolder(root), "start", "--rounds", "4", *BARE)
    return FleetFolder(root)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """A head of public data for the federation that `start` begins by default."""
    settings = default_settings(
        backbone="mini-xception", head="logistic", strategy="fedavg", quorum=3, deadline=120.0
    )
    head = initial_head(settings.specification, seed=0)
    save_head(tmp_path / "public.safetensors", head)
    arrays = {name: np.array(array) for name, array in head.arrays.items()}
    arrays["reference.centre"] = arrays["reference.centre"] + 1
    save_head(tmp_path / "other.safetensors", replace(head, arrays=arrays))
    return tmp_path / "public.safetensors"


def test_more_rounds_of_the_same_federation_need_no_options(fleet: FleetFolder) -> None:
    ran(fleet, "start", "--rounds", "4", *BARE)
    before = fleet.settings()
    told = ran(fleet, "start", "--rounds", "7", "--backbone", "mini-xception", *BARE)
    assert told == "7 rounds are wanted in all, 0 are done.\n"
    assert (fleet.settings(), fleet.wanted()) == (before, Wanted(7))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--secure-sum",), "--secure-sum True, where False is settled"),
        (("--clip-norm", "1"), "--clip-norm 1.0, where 2.0 is settled"),
        (("--noise-multiplier", "1"), "--noise-multiplier 1.0, where 0.0 is settled"),
        (("--smallest-sum", "5"), "--smallest-sum 5, where 10 is settled"),
        (("--quorum", "9", "--deadline", "9"), "--quorum 9, .*; --deadline 9.0, where 120.0 is"),
        (("--backbone", "enet-b0-8-va-mtl"), "--backbone enet-b0.*, where mini-xception/"),
        (("--head", "attention"), "--head attention, where logistic is settled"),
        (("--accept-leak",), "--accept-leak True, where False is settled"),
    ],
)
def test_what_is_given_later_and_differs_is_refused_by_name(
    begun: FleetFolder, words: tuple[str, ...], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        ran(begun, "start", "--rounds", "7", *words)
    assert begun.wanted() == Wanted(4)


def test_another_reference_is_refused_and_the_same_is_not(
    fleet: FleetFolder, reference: Path
) -> None:
    ran(fleet, "start", "--reference", str(reference))
    ran(fleet, "start", "--reference", str(reference))
    with pytest.raises(UsageError, match="--reference of another head than the one that is"):
        ran(fleet, "start", "--reference", str(reference.with_name("other.safetensors")))


def test_a_reference_is_kept_with_the_settings_or_not_at_all(
    fleet: FleetFolder, reference: Path
) -> None:
    with pytest.raises(UsageError, match="over-sample"):
        ran(fleet, "start", "--over-sample", "1.3", "--reference", str(reference))
    assert not fleet.federation.exists()
    fleet.federation.mkdir()
    (fleet.federation / REFERENCE).write_bytes(b"left by an attempt that was killed")
    ran(fleet, "start")
    assert fleet.reference() is None


@pytest.mark.parametrize("word", ["start", "pause", "resume"])
def test_a_folder_without_a_fleet_is_refused_and_not_made(tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError, match="no fleet"):
        ran(FleetFolder(tmp_path / "nf"), word)
    assert not (tmp_path / "nf").exists()

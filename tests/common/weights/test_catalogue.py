"""The records hold what the table of known sources says."""

from __future__ import annotations

import csv

import pytest

from common.errors import UsageError
from common.weights.catalogue import WEIGHTS, recognise, weights_file
from common.weights.files import Digests
from tests.support import shared_data

NETWORKS = (
    "enet_b0_8_best_vgaf",
    "enet_b0_8_best_afew",
    "enet_b0_8_va_mtl",
    "enet_b2_8",
    "enet_b2_7",
)
OTHERS = ("mobilenet_7.h5", "state_vggface2_enet0_new.pt", "20180402-114759-vggface2.pt")


def test_all_that_backbones_ask_for_is_there() -> None:
    wanted = {f"{network}{kind}" for network in NETWORKS for kind in (".onnx", ".pt")}
    assert wanted | set(OTHERS) <= set(WEIGHTS)
    assert all(name == file.name for name, file in WEIGHTS.items())
    assert len({file.expected for file in WEIGHTS.values()}) == len(WEIGHTS)


def test_sources_are_https_and_pinned() -> None:
    for file in WEIGHTS.values():
        owner = file.source.removeprefix("https://").split("/")
        if owner[0] == "storage.googleapis.com":
            assert owner[1] == "mediapipe-models"
            assert owner[-2].isdecimal()  # a version, not "latest"
            continue
        assert owner[0] in ("raw.githubusercontent.com", "github.com")
        pinned = owner[3] if owner[0].startswith("raw") else owner[5]
        assert len(pinned) == 40 or pinned.startswith("v")


def test_records_agree_with_the_table_of_sources() -> None:
    data = shared_data()
    if data is None or not (data / "models/weights.csv").is_file():
        pytest.skip("needs the table ../shared/data/models/weights.csv")
    with (data / "models/weights.csv").open(encoding="utf-8") as table:
        rows = {
            f"https://raw.githubusercontent.com/{row['github_repository']}/{row['commit']}/"
            f"{row['path']}": row
            for row in csv.DictReader(table)
        }
    compared = 0
    for file in WEIGHTS.values():
        if file.source not in rows:
            continue
        row = rows[file.source]
        compared += 1
        assert (file.git_blob_sha1 or "", file.sha256 or "", file.licence) == (
            row["git_blob_sha1"],
            row["sha256"],
            row["licence"],
        )
    assert compared == len(WEIGHTS) - 2  # facenet-pytorch's release and MediaPipe have no row


def test_files_are_recognised_by_content() -> None:
    file = weights_file("enet_b2_7.pt")
    assert recognise(Digests(1, str(file.git_blob_sha1), "0" * 64)) is file
    assert recognise(Digests(1, "0" * 40, "0" * 64)) is None


def test_an_unknown_id_is_told_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'enet_b9'.*enet_b2_8\.onnx"):
        weights_file("enet_b9")

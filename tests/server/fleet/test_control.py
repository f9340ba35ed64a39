"""The bundle that devices get is Mien's own code, the same each time, and nothing else."""

from __future__ import annotations

import io
import tomllib
import zipfile

from cryptography.hazmat.primitives.asymmetric import ec

from common.app_bundle import CONFIG_FILE, ROOMS, app_files
from server.fleet.control import Node, bundle, key_bytes, names


def test_the_bundle_is_the_code_of_three_rooms_and_the_same_each_time() -> None:
    content = bundle()
    assert content == bundle()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        listed = {name for name in archive.namelist() if not name.startswith(".info/")}
        assert listed == set(app_files())
        assert archive.read("client/gate.py") == app_files()["client/gate.py"]
    assert {name.split("/")[0] for name in listed} == {*ROOMS, CONFIG_FILE}
    assert all(name.endswith((".py", CONFIG_FILE)) for name in listed)


def test_its_configuration_installs_nothing() -> None:
    settings = tomllib.loads(app_files()[CONFIG_FILE].decode())
    assert settings["project"]["dependencies"] == []
    assert settings["tool"]["flwr"]["app"]["components"] == {
        "serverapp": "server.fleet.app:app",
        "clientapp": "client.app:app",
    }


def test_a_key_is_written_as_flower_registers_it() -> None:
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert key_bytes(key) == public_key_to_bytes(key)


def test_names_by_node() -> None:
    assert names([Node(7, "kitchen", "online", b""), Node(8, "hall", "offline", b"")]) == {
        7: "kitchen",
        8: "hall",
    }

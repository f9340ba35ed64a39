"""device.json, as far as the daemon reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.daemon.settings import DaemonSettings, Fleet, load_settings, parse_settings
from common.errors import UsageError, WorkError
from tests.client.daemon.fakes import make_device, refusal

FLEET = {"address": "fleet.example:9092", "root_certificates": "/ca.pem", "private_key": "/key"}
LOOPBACK = {"address": "127.0.0.1:8000", "insecure": True}


def test_an_empty_document_gives_the_defaults() -> None:
    assert parse_settings({}, "x") == DaemonSettings()


def test_all_settings_are_read() -> None:
    told = {
        "key": {"source": "passphrase"},
        "inboxes": ["/a", "/b", "/a"],
        "backbone": "mini-xception",
        "identity": "dlib-resnet",
        "fleet": FLEET,
        "idle_seconds": 5,
        "settle_seconds": 0.5,
    }
    assert parse_settings(told, "x") == DaemonSettings(
        inboxes=(Path("/a"), Path("/b")),
        backbone="mini-xception",
        identity="dlib-resnet",
        fleet=Fleet(**FLEET),
        idle_seconds=5.0,
        settle_seconds=0.5,
    )
    assert parse_settings({"fleet": LOOPBACK}, "x").fleet == Fleet(**LOOPBACK)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"inbox": []}, "'inbox' is no setting; known: backbone"),
        ({"inboxes": "/a"}, "inboxes is '/a', expected a list"),
        ({"inboxes": ["a"]}, "whole paths"),
        ({"idle_seconds": 0}, "idle_seconds is 0, expected seconds"),
        ({"idle_seconds": True}, "idle_seconds is True"),
        ({"settle_seconds": "1"}, "settle_seconds is '1'"),
        ({"backbone": 1}, "backbone is 1, expected text"),
        ({"fleet": "here"}, "fleet is 'here'"),
        ({"fleet": {**FLEET, "more": 1}}, "fleet is"),
        ({"fleet": {**FLEET, "address": "fleet"}}, "expected HOST:PORT"),
        ({"fleet": {**FLEET, "address": "fleet:99999"}}, "expected HOST:PORT"),
        ({"fleet": {**FLEET, "address": "a b:1"}}, "expected HOST:PORT"),
        ({"fleet": {**FLEET, "private_key": "key"}}, "fleet.private_key is 'key'"),
        ({"fleet": {"address": "fleet:1"}}, "fleet.root_certificates"),
        ({"fleet": {"address": "fleet:1", "insecure": True}}, "another computer"),
        ({"fleet": {**LOOPBACK, "private_key": "/key"}}, "take one out"),
        ({"fleet": {**LOOPBACK, "insecure": 1}}, "fleet.insecure is 1"),
    ],
)
def test_what_is_wrong_is_named(told: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkError, match=said) as error:
        parse_settings(told, "device.json")
    assert str(error.value).startswith("device.json: ")


@given(
    st.dictionaries(
        st.sampled_from(["inboxes", "fleet", "idle_seconds", "settle_seconds", "backbone"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["address", "insecure", "root_certificates"]), inner, max_size=3
                )
            ),
        ),
    )
)
def test_anything_is_read_or_refused(told: dict[str, Any]) -> None:
    assert "\n" not in refusal(lambda: parse_settings(told, "device.json"))


@pytest.mark.parametrize("host", ["localhost", "127.9.9.9", "[::1]"])
def test_this_computer_may_do_without_tls(host: str) -> None:
    told = {"fleet": {"address": f"{host}:8000", "insecure": True}}
    assert parse_settings(told, "x").fleet is not None


def test_settings_come_from_the_device(tmp_path: Path) -> None:
    device = make_device(tmp_path, idle_seconds=7)
    assert load_settings(device.folder).idle_seconds == 7
    with pytest.raises(UsageError, match="no device here"):
        load_settings(tmp_path)

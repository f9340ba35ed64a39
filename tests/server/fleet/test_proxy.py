"""The proxy's configuration: an explicit list of routes, and nginx itself agrees."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UsageError, WorkError
from server.authority.authority import Authority
from server.fleet.proxy import FLEET_ROUTES, ProxySettings, configuration, write_configuration


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ProxySettings:
    fleet = tmp_path_factory.mktemp("fleet") / "fleet"
    Authority.create(fleet, address="localhost:8443")
    return ProxySettings(
        address="127.0.0.1",
        port=8443,
        superlink=9000,
        certificate=fleet / "server/server.crt",
        key=fleet / "server/server.key",
        authority=fleet / "ca/ca.crt",
        device_authority=fleet / "ca/ca.crt",
        revoked=fleet / "ca/revoked.crl",
    )


def need_nginx() -> None:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")


def test_nginx_accepts_the_configuration(settings: ProxySettings, tmp_path: Path) -> None:
    need_nginx()
    for each in (settings, replace(settings, device_authority=None, revoked=None)):
        path = write_configuration(each, tmp_path / "proxy")
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_nginx_refuses_is_told(settings: ProxySettings, tmp_path: Path) -> None:
    need_nginx()
    missing = replace(settings, certificate=tmp_path / "none.crt")
    with pytest.raises(WorkError, match=r"nginx refuses .*none\.crt"):
        write_configuration(missing, tmp_path / "proxy")


def test_only_named_routes_are_passed_on(settings: ProxySettings, tmp_path: Path) -> None:
    text = configuration(settings, tmp_path)
    (pattern,) = re.findall(r"location ~ (\S+) \{", text)
    for route in FLEET_ROUTES:
        assert re.search(pattern, f"/v1/fleet/{route}")
    for path in (
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/pull-messages/x",
        "/x/v1/fleet/pull-messages",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/docs",
    ):
        assert not re.search(pattern, path)
    assert text.count("proxy_pass ") == 1
    assert "location / { return 404; }" in text


def test_no_body_is_kept_in_a_file(settings: ProxySettings, tmp_path: Path) -> None:
    text = configuration(settings, tmp_path)
    assert "proxy_request_buffering off;" in text
    assert "proxy_max_temp_file_size 0;" in text


@pytest.mark.parametrize("odd", ["/a b/c", "/a;b", "/a{b", '/a"b', "relative", "/a\nb", "/$x"])
def test_paths_that_mean_something_to_nginx_are_refused(
    settings: ProxySettings, odd: str, tmp_path: Path
) -> None:
    for name in ("certificate", "key", "authority", "device_authority", "revoked"):
        with pytest.raises(UsageError, match="the proxy needs an absolute path without spaces"):
            configuration(replace(settings, **{name: Path(odd)}), tmp_path)

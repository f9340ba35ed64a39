"""Programs that hang, certificates that change, disks that fill up; with stand-ins for programs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from flwr.supercore.grpc_health import run_health_server_grpc_no_tls

from common.errors import WorkError
from common.processes import free_port
from server.authority.authority import Authority
from server.fleet.dashboard import FILE
from server.fleet.events import LARGEST_LOG, Event
from server.fleet.folder import FleetFolder
from server.fleet.health import Health, grpc_check, tls_check
from server.fleet.service import Service
from server.fleet.upkeep import Upkeep, check_room
from tests.server.fleet.statuses import report


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeService:
    """Programs that answer as they are told; keeps what was done with them."""

    def __init__(self, folder: Path) -> None:
        self.settings = SimpleNamespace(folder=folder)
        self.answers = {"superlink": True, "superexec": True, "proxy": True}
        self.done: list[str] = []
        self.refuses = False

    def checks(self) -> dict[str, object]:
        return {name: lambda name=name: self.answers[name] for name in self.answers}

    def restart(self, name: str) -> None:
        self.done.append(f"restart {name}")

    def reload_proxy(self) -> None:
        if self.refuses:
            raise WorkError("nginx refuses it")
        self.done.append("reload")


class Kept:
    """An upkeep of a new fleet, with its clock and what it told."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock, self.told = root, Clock(), list[Event]()
        self.authority = Authority.create(root, address="localhost:8443")
        service = root / "service"
        service.mkdir()
        self.service = FakeService(service)
        health = Health(self.service.checks(), patience=30, every=5, clock=self.clock)  # type: ignore[arg-type]
        self.upkeep = Upkeep(root, cast(Service, self.service), self.told.append, health=health)

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.now += 1
            self.upkeep.look()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "fleet")


def test_a_hung_executor_is_started_again_once_in_a_while(kept: Kept) -> None:
    kept.service.answers["superexec"] = False
    kept.pass_time(29)
    assert kept.service.done == []
    kept.pass_time(3)
    assert kept.service.done == ["restart superexec"]
    kept.pass_time(28)
    assert kept.service.done == ["restart superexec"]
    kept.service.answers["superexec"] = True
    kept.pass_time(100)
    assert [event.name for event in kept.told] == ["program-restarted"]


def test_one_missed_answer_is_forgiven(kept: Kept) -> None:
    for _ in range(10):
        kept.service.answers["proxy"] = not kept.service.answers["proxy"]
        kept.pass_time(7)
    assert kept.service.done == []


def test_a_hung_superlink_ends_the_server_with_a_sentence(kept: Kept) -> None:
    kept.service.answers["superlink"] = False
    with pytest.raises(WorkError, match="SuperLink has not answered its health check for 30 s"):
        kept.pass_time(40)


def test_the_proxy_is_reloaded_once_for_each_change(kept: Kept) -> None:
    kept.pass_time(3)
    kept.authority.add_device("kitchen")
    kept.pass_time(3)
    assert kept.service.done == []
    kept.authority.revoke("kitchen", "sold")
    kept.pass_time(3)
    kept.authority.renew_server()
    kept.pass_time(3)
    assert kept.service.done == ["reload", "reload"]


def test_what_nginx_refuses_is_told_and_ends_nothing(kept: Kept) -> None:
    kept.service.refuses = True
    kept.authority.renew_server()
    kept.pass_time(3)
    assert [event.sentence for event in kept.told] == [
        "the proxy keeps what it has: nginx refuses it"
    ]


def test_new_rounds_are_told_once_and_drawn(kept: Kept) -> None:
    folder = FleetFolder(kept.root).federation / "rounds"
    folder.mkdir(parents=True)
    for number in (0, 1):
        (folder / f"{number:06d}.json").write_text(json.dumps(report(number)))
    kept.pass_time(3)
    assert [event.fields["round"] for event in kept.told] == [0, 1]
    assert (kept.root / FILE).stat().st_mode & 0o777 == 0o600
    os.utime(folder / "000001.json", (1, 1))
    kept.pass_time(3)
    assert [event.fields["round"] for event in kept.told] == [0, 1, 1]


def test_a_dashboard_that_cannot_be_drawn_ends_nothing(kept: Kept) -> None:
    folder = FleetFolder(kept.root).federation / "rounds"
    folder.mkdir(parents=True)
    (kept.root / FILE).mkdir()
    for number in (0, 1):
        (folder / f"{number:06d}.json").write_text(json.dumps(report(number)))
        kept.pass_time(2)
    names = [event.name for event in kept.told]
    assert names == ["round", "dashboard-failed", "round"]


def test_too_little_room_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_room(tmp_path, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))
    with pytest.raises(WorkError, match="only 3 MiB of the disk are free, rounds need 64; make"):
        check_room(tmp_path)


def test_a_program_with_flowers_health_service_is_healthy_while_it_runs() -> None:
    port = free_port()
    serving = run_health_server_grpc_no_tls(f"127.0.0.1:{port}")
    assert grpc_check(port)
    serving.stop(grace=None).wait()
    assert not grpc_check(port)


def test_where_nobody_listens_nobody_is_healthy() -> None:
    assert not grpc_check(1)
    assert not tls_check("127.0.0.1", 1)


def test_a_log_that_cannot_be_cut_is_told_once_and_ends_nothing(kept: Kept) -> None:
    (kept.root / "service/superlink.log.1").mkdir()
    with (kept.root / "service/superlink.log").open("wb") as log:
        log.truncate(LARGEST_LOG + 1)
    kept.pass_time(3)
    assert [event.name for event in kept.told] == ["log-cut-failed"]

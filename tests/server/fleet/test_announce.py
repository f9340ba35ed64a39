"""The newest release goes out with the links that a device may lack, until it is confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.supercore.task_identity import TaskIdentity

from common.releases.signing import read_manifest
from server.authority.authority import Authority
from server.fleet import announcing, federate
from server.fleet.announcing import (
    FIRST_WAIT,
    LONGEST_WAIT,
    NOTE,
    Announced,
    Herald,
    News,
    announced,
    newest_after,
    with_links,
)
from server.fleet.federate import PatientFleet, serve
from server.fleet.folder import FederationSettings, FleetFolder, Wanted
from server.fleet.rounds import RoundRules
from server.flower_adapter import TooFewDevices
from server.registry import Publication
from tests.client.fleet_device import SPECIFICATION, draft
from tests.server.fakes import plan


class Grid:
    """Nodes that are connected; those in `silent` never answer, those in `failing` by an error."""

    def __init__(self, *nodes: int) -> None:
        self.nodes = list(nodes)
        self.silent: set[int] = set()
        self.failing: set[int] = set()
        self.sent: list[tuple[int, bytes]] = []
        self._open: dict[str, int] = {}

    def get_node_ids(self) -> list[int]:
        return self.nodes

    def push_messages(self, messages: Iterable[Any]) -> list[str]:
        ids = []
        for message in messages:
            node = message.metadata.dst_node_id
            self.sent.append((node, message.content["release"]["release"]))
            ids.append(f"message-{len(self.sent)}")
            self._open[ids[-1]] = node
        return ids

    def pull_messages(self, ids: Iterable[str]) -> list[Any]:
        answered = [each for each in ids if self._open[each] not in self.silent]
        return [self._reply(each) for each in answered]

    def _reply(self, message: str) -> Any:
        failed = self._open[message] in self.failing
        metadata = SimpleNamespace(reply_to_message_id=message)
        return SimpleNamespace(metadata=metadata, has_error=lambda: failed)


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's messages ask the process which task of which run it is."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "fleet", address="localhost:1")


def publish(authority: Authority, first: int, last: int) -> None:
    for number in range(first, last + 1):
        arrays = draft(float(number)).arrays
        authority.publish(
            Publication(specification=SPECIFICATION, arrays=arrays, round=number, metrics={})
        )


def told(grid: Grid) -> list[int]:
    return [node for node, _ in grid.sent]


def test_nothing_is_said_before_the_first_release(authority: Authority, tmp_path: Path) -> None:
    grid = Grid(5, 7)
    Herald(grid, authority.registry, tmp_path).bring()
    assert grid.sent == []
    assert not (tmp_path / NOTE).exists()


@pytest.mark.parametrize(
    ("limit", "value"), [("MOST_LINKS", 3), ("MOST_LINK_BYTES", 3)], ids=["number", "size"]
)
def test_the_newest_comes_with_the_links_before_it(
    authority: Authority, limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(authority, 1, 6)
    every = authority.registry.links(0, 6)
    size = sum(map(len, every[-value:])) if limit == "MOST_LINK_BYTES" else value
    monkeypatch.setattr(announcing, limit, size)
    release, links = with_links(authority.registry, 6)
    assert release == authority.registry.path(6).read_bytes()
    key = authority._signing_key(authority.settings.signing_key).public_key()
    assert [read_manifest(link, key).sequence for link in links] == [3, 4, 5]


def test_a_device_that_was_away_for_a_hundred_releases_gets_all_links(authority: Authority) -> None:
    registry = SimpleNamespace(
        links=lambda after, before: [b"x" * 700] * (before - after - 1),
        path=lambda _: authority.folder / "settings.json",
    )
    assert len(with_links(registry, 101)[1]) == 100  # type: ignore[arg-type]
    assert len(with_links(registry, 5000)[1]) == 2000  # type: ignore[arg-type]


def test_each_device_is_told_until_it_confirms_and_not_again(
    authority: Authority, tmp_path: Path
) -> None:
    publish(authority, 1, 1)
    grid = Grid(5, 7, 9)
    grid.silent, grid.failing = {7}, {9}
    herald = Herald(grid, authority.registry, tmp_path)
    herald.bring()
    herald.hear(0.0)
    grid.nodes.append(11)
    herald.bring()
    assert told(grid) == [5, 7, 9, 11]
    assert announced(tmp_path) == Announced(1, frozenset({5, 11}))

    again = Grid(5, 7, 9, 11)
    Herald(again, authority.registry, tmp_path).bring()
    assert told(again) == [7, 9]

    publish(authority, 2, 2)
    herald.bring()
    assert told(grid)[4:] == [5, 7, 9, 11]
    assert grid.sent[-1][1] == authority.registry.path(2).read_bytes()
    assert announced(tmp_path) == Announced(2, frozenset({5, 11}))


def test_waiting_for_confirmations_ends_where_there_is_other_work(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "SLICE_SECONDS", 0.0)
    publish(authority, 1, 1)
    grid, asked = Grid(5), list[bool]()
    grid.silent = {5}
    herald = Herald(grid, authority.registry, tmp_path)
    herald.bring()

    def enough() -> bool:
        asked.append(True)
        return len(asked) == 3

    herald.hear(600.0, enough)
    assert len(asked) == 3


def test_a_run_brings_what_was_published_without_any_federation(authority: Authority) -> None:
    publish(authority, 1, 2)
    grid = Grid(5)
    serve(grid, authority.folder)
    assert grid.sent == [(5, authority.registry.path(2).read_bytes())]
    assert announced(authority.folder / "federation") == Announced(2, frozenset({5}))


def test_a_run_that_waits_in_a_pause_brings_what_is_published(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, grid = FleetFolder(authority.folder), Grid(5)
    rules = RoundRules(quorum=1)
    folder.begin(
        FederationSettings(specification=SPECIFICATION, plan=plan(), rules=rules, deadline=1.0)
    )
    folder.want(Wanted(2))

    class Waiting:
        """In place of the rounds: asked whether there is a pause, before one and in one."""

        def __init__(self, *, paused: Callable[[], bool], **_: object) -> None:
            self._paused = paused

        def run(self) -> None:
            publish(authority, 1, 1)
            assert (self._paused(), told(grid)) == (False, [])
            folder.want(Wanted(2, paused=True))
            assert (self._paused(), told(grid)) == (True, [5])

    monkeypatch.setattr(federate, "Rounds", Waiting)
    serve(grid, authority.folder)
    assert told(grid) == [5]


@pytest.mark.parametrize("content", ["", "[]", '{"sequence": 1}', '{"sequence": 1, "nodes": 3}'])
def test_a_damaged_note_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / NOTE).write_text(content)
    assert announced(tmp_path) == Announced()


def test_the_newest_release_is_counted_on_from_what_is_known(authority: Authority) -> None:
    assert newest_after(authority.registry, 0) == 0
    publish(authority, 1, 3)
    assert [newest_after(authority.registry, known) for known in (0, 2, 3)] == [3, 3, 3]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_news_are_due_once_for_a_release_and_for_who_comes_online(tmp_path: Path) -> None:
    clock = Clock()
    news = News(tmp_path, clock)
    assert not news.due(0, [5])
    assert not news.due(1, [])
    assert news.due(1, [5])
    assert not news.due(1, [5])
    (tmp_path / NOTE).write_text('{"sequence": 1, "nodes": [5]}')
    clock.now += 10 * LONGEST_WAIT
    assert not news.due(1, [5])
    assert news.due(1, [5, 7])
    assert news.due(2, [5, 7]), "another release does not wait"


def test_who_never_confirms_is_told_ever_more_seldom(tmp_path: Path) -> None:
    clock = Clock()
    news, starts = News(tmp_path, clock), list[float]()
    for second in range(0, 24 * 3600, 10):
        clock.now = float(second)
        if news.due(1, [5]):
            starts.append(clock.now)
    waits = [after - before for before, after in pairwise(starts)]
    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    clock.now += FIRST_WAIT
    assert news.due(1, [5, 7]), "who comes online does not wait for others' sake"


def test_devices_that_connected_since_are_told_before_each_request() -> None:
    calls: list[str] = []

    class Few:
        def ask(self, request: object) -> object:
            calls.append("ask")
            raise TooFewDevices("none")

    fleet = PatientFleet(Few(), lambda: calls.append("tell"))  # type: ignore[arg-type]
    assert fleet.ask(None).faults == ("none",)  # type: ignore[arg-type]
    assert calls == ["tell", "ask"]

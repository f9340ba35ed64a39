"""Secure sums over Flower's messages: the same head, with masks, drop-outs, restarts, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.secure_aggregation.replay import EVENT
from client.store import DeviceFolder
from client.training import head_update
from common.clips import ClipSet
from common.heads.specification import HEAD_STAGE
from common.heads.universal import UniversalHead, initial_head
from common.messages import Request
from common.paths import simulated_device
from common.privacy.gaussian import epsilon_of
from common.secure_aggregation import steps
from common.settings import FederationPlan
from common.update import HeadUpdate
from server.federation import Replies, RoundRecord, run_federation
from server.flower_adapter import FlowerFleet
from server.noising import privacy_record
from server.secure_aggregation.outcome import Answers
from server.secure_aggregation.unfinished import OnDisk, UnfinishedSum
from server.strategies.mean import average
from simulations.engines.flower_grid import FIRST_NODE, FlowerGrid
from simulations.identities import give_identities
from tests.client.fakes import any_head, device, made_up_clips, message_to, specification
from tests.common.plans import sum_plan

DEVICES = 5


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in range(DEVICES):
        clips = made_up_clips(per_expression=1 + index % 3, seed=index)
        device(tmp_path, clips, specification(), index=index)
    give_identities(tmp_path, DEVICES)
    return tmp_path


@contextmanager
def fleet(
    root: Path, record: Path | None = None, unfinished: UnfinishedSum | None = None
) -> Iterator[FlowerFleet]:
    config = {"state-root": str(root)}
    with FlowerGrid(devices=DEVICES, run_config=config, workers=1, progress=lambda _: None) as grid:
        yield FlowerFleet(
            grid, devices=DEVICES, timeout=60, poll=0.001, record=record, unfinished=unfinished
        )


def head(root: Path, of: FederationPlan) -> UniversalHead:
    with fleet(root) as asked:
        return run_federation(asked, specification(), of, lambda _: None, strict=True)


def request(of: FederationPlan, stage: str = HEAD_STAGE) -> Request:
    start = initial_head(specification(), of.seed)
    return Request(of, stage, int(stage == HEAD_STAGE), start)


def ledger(root: Path, index: int) -> list[dict[str, Any]]:
    return list(DeviceFolder(simulated_device(root, index)).ledger.entries())


def assert_same(found: UniversalHead, expected: UniversalHead) -> None:
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(found.arrays[name], array, rtol=1e-4, atol=1e-4)


def assert_mean_of_all(root: Path, found: Replies) -> None:
    with fleet(root) as asked:
        bare = asked.ask(request(sum_plan(secure_sum=False)))
    assert found.mean is not None
    assert found.mean.devices == DEVICES
    for name, array in average(bare.updates).items():
        np.testing.assert_allclose(found.mean.arrays[name], array, atol=1e-5)


class Meddler:
    """Changes what devices answer at one step, as the one at an address would."""

    def __init__(self, inner: FlowerFleet, step: str, change: Callable[[bytes], bytes | None]):
        self._step, self._change, self._carry = step, change, inner.carry
        inner.carry = self.carry  # type: ignore[method-assign]
        self.address = 0

    def carry(
        self, asked: Request, step: str, payloads: Mapping[int, bytes], nodes: Mapping[int, int]
    ) -> Answers:
        answers = self._carry(asked, step, payloads, nodes)
        if step == self._step and self.address in answers.payloads:
            changed = self._change(answers.payloads.pop(self.address))
            if changed is not None:
                answers.payloads[self.address] = changed
        return answers


def test_a_federation_of_secure_sums_ends_at_the_head_of_plain_ones(root: Path) -> None:
    assert_same(head(root, sum_plan()), head(root, sum_plan(secure_sum=False)))


@pytest.mark.slow
def test_devices_whose_vectors_are_lost_are_not_in_the_sum(root: Path) -> None:
    lossy = sum_plan(dropout=0.12, seed=0)
    rounds: list[RoundRecord] = []
    with fleet(root) as asked:
        found = run_federation(asked, specification(), lossy, rounds.append)
    assert {each.clients for each in rounds} != {DEVICES}
    assert all(each.clients + each.lost == DEVICES for each in rounds)
    assert_same(found, head(root, replace(lossy, secure_sum=False)))


@pytest.mark.parametrize("out", [1, 2])
def test_devices_that_decline_are_left_out(root: Path, out: int) -> None:
    """One of five is few enough to be missed, two of them take another attempt."""
    for index in range(out):
        clips = DeviceFolder(simulated_device(root, index)).clips()
        device(root, clips, specification(), index=index, held_out_of=("sums",))
    assert_same(head(root, sum_plan()), head(root, sum_plan(secure_sum=False)))


def test_too_few_devices_reveal_nothing(root: Path) -> None:
    with fleet(root) as asked:
        replies = asked.ask(request(sum_plan(smallest_sum=6)))
    assert replies.mean is None
    assert "smallest-sum asks for 6" in replies.failures[0]
    assert all(not ledger(root, index) for index in range(DEVICES))


def test_no_second_sum_is_revealed_over_a_head(root: Path) -> None:
    with fleet(root) as asked:
        assert asked.ask(request(sum_plan())).mean is not None
    with fleet(root) as asked:
        replies = asked.ask(request(sum_plan(smallest_sum=4)))
    assert replies.mean is None
    for index in range(DEVICES):
        events = [each.get("event") for each in ledger(root, index)]
        assert events.count(EVENT) == 1


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_server_that_was_killed_goes_on_with_the_sum_it_asked_for(
    root: Path, tmp_path: Path, asked_before: bool
) -> None:
    """Whether its question came through, and the answers were lost, or not."""
    unfinished = OnDisk(tmp_path / "sum.json")
    with fleet(root, unfinished=unfinished) as asked:
        Killed(asked, steps.REVEAL, after=asked_before)
        with pytest.raises(KeyboardInterrupt):
            asked.ask(request(sum_plan()))
    with fleet(root, unfinished=unfinished) as asked:
        found = asked.ask(request(sum_plan()))
    assert_mean_of_all(root, found)


class Killed:
    """A server that dies as it asks for a step, before or after devices have answered."""

    def __init__(self, inner: FlowerFleet, step: str, *, after: bool) -> None:
        self._step, self._after, self._carry = step, after, inner.carry
        inner.carry = self.carry  # type: ignore[method-assign]

    def carry(
        self, asked: Request, step: str, payloads: Mapping[int, bytes], nodes: Mapping[int, int]
    ) -> Answers:
        if step == self._step and not self._after:
            raise KeyboardInterrupt
        answers = self._carry(asked, step, payloads, nodes)
        if step == self._step:
            raise KeyboardInterrupt
        return answers


@pytest.mark.parametrize(
    ("step", "change", "told"),
    [
        (steps.ADVERTISE, lambda data: data[:-1] + b"x", "not signed by that member"),
        (steps.SHARE, lambda data: data[:-1], "came in another form"),
        (steps.MASK, lambda data: data + b"1234", "came in another form"),
        (steps.CONFIRM, lambda data: bytes(64), "not signed by that member"),
        (steps.REVEAL, lambda data: data[:-1] + bytes([data[-1] ^ 1]), "do not fit the others'"),
        (steps.MASK, lambda data: None, ""),
    ],
)
def test_one_device_s_nonsense_is_left_out_or_named(
    root: Path, step: str, change: Callable[[bytes], bytes | None], told: str
) -> None:
    with fleet(root) as asked:
        Meddler(asked, step, change)
        found = asked.ask(request(sum_plan()))
    assert found.mean is not None
    assert found.mean.devices == DEVICES - (step in (steps.ADVERTISE, steps.SHARE, steps.MASK))
    assert any(told in each for each in found.hurdles) or not told
    with fleet(root) as asked:
        bare = asked.ask(request(sum_plan(secure_sum=False))).updates
    if found.mean.devices < DEVICES:
        bare = tuple(sorted(bare, key=lambda each: each.clips))
        clips = DeviceFolder(simulated_device(root, 0)).clips()
        (own,) = [each for each in bare if is_of(each, clips)]
        bare = tuple(each for each in bare if each is not own)
    for name, array in average(bare).items():
        np.testing.assert_allclose(found.mean.arrays[name], array, atol=1e-5)


def is_of(update: HeadUpdate, clips: ClipSet) -> bool:
    start = initial_head(specification(), sum_plan().seed)
    made = head_update(start, clips, sum_plan().training, round=1)
    return made.sha256 == update.sha256


def test_no_single_update_is_on_the_wire(root: Path, tmp_path: Path) -> None:
    """No reply holds an update's bytes, its count of clips, or the same bytes at two steps."""
    record = tmp_path / "record"
    with fleet(root, record=record) as asked:
        asked.ask(request(sum_plan()))
    with fleet(root) as asked:
        bare = asked.ask(request(sum_plan(secure_sum=False)))
    came = [path.read_bytes() for path in record.glob("sums-head-1-*.bin")]
    assert len(came) == len(steps.STEPS) * DEVICES
    for update in bare.updates:
        content = [array.tobytes()[:16] for array in update.arrays.values() if array.any()]
        assert content
        assert not any(part in each for part in content for each in came)
    assert not any(b"num-examples" in each for each in came)


def test_the_ledger_knows_what_went_under_masks(root: Path) -> None:
    with fleet(root) as asked:
        asked.ask(request(sum_plan()))
    left, revealed = ledger(root, 1)
    clips = DeviceFolder(simulated_device(root, 1)).clips()
    assert left["own_clips"] == len(clips)
    assert left["arrays"][0]["dtype"] == "uint32"
    assert left["secure_sum"]["stay"] == 4
    assert left["secure_sum"]["members"] == DEVICES
    assert left["combinations"] == 7
    assert revealed["event"] == EVENT


def test_a_device_refuses_to_send_an_update_bare_under_a_plan_of_secure_sums(root: Path) -> None:
    asked = request(sum_plan())
    with FlowerGrid(
        devices=DEVICES, run_config={"state-root": str(root)}, workers=1, progress=lambda _: None
    ) as grid:
        (reply,) = grid.send_and_receive([message_to(asked)])
    assert reply.has_error()
    assert not ledger(root, 0)


def test_a_step_out_of_turn_gets_nothing(root: Path) -> None:
    with fleet(root) as asked:
        carried = asked.carry(request(sum_plan()), steps.MASK, {0: b""}, {0: FIRST_NODE})
    assert carried.payloads == {}
    assert "a device failed at mask" in carried.failures[0]


def test_another_head_than_the_sum_began_with_is_refused(root: Path) -> None:
    """A server can't make clips count more by a head for one device."""
    other = any_head(specification())
    with fleet(root) as asked:
        carry = asked.carry

        def swap(of: Request, step: str, payloads: Any, nodes: Any) -> Answers:
            return carry(
                replace(of, head=other) if step == steps.MASK else of, step, payloads, nodes
            )

        asked.carry = swap  # type: ignore[method-assign]
        found = asked.ask(request(sum_plan()))
    assert found.mean is None
    assert all(not ledger(root, index) for index in range(DEVICES))


def test_noise_comes_from_the_members_and_is_counted(root: Path) -> None:
    noised = sum_plan(clip_norm=0.5, noise_multiplier=2.0)
    rounds: list[RoundRecord] = []
    public = initial_head(specification(), 3)
    with fleet(root) as asked:
        found = run_federation(
            asked, specification(), noised, rounds.append, strict=True, reference=public
        )
    assert [each.round for each in rounds] == [1, 2]
    assert all(each.noise == pytest.approx(2.0, rel=1e-6) for each in rounds)
    told = privacy_record([asdict(each) for each in rounds])
    assert told["dp"] == "counted"
    assert told["epsilon"] == pytest.approx(epsilon_of(1e-5, np.sqrt(2) / 2), rel=1e-2)
    assert np.abs(found.arrays["population.weight"]).max() < 50
    entry = ledger(root, 0)[0]
    assert entry["noise"]["multiplier"] == pytest.approx(2.0, rel=1e-6)
    assert entry["clip_norm"] == 0.5


@pytest.mark.slow
def test_two_noised_sums_of_the_same_updates_differ_by_the_noise_that_was_promised(
    root: Path,
) -> None:
    """Of 96 entries in four sums each; the bounds hold but for one run in a million."""
    means = []
    for number in range(4):
        of = sum_plan(name=f"noise-{number}", clip_norm=0.5, noise_multiplier=3.0)
        for index in range(DEVICES):
            (simulated_device(root, index) / "ledger.jsonl").unlink(missing_ok=True)
        with fleet(root) as asked:
            found = asked.ask(request(of))
        assert found.mean is not None
        means.append(np.concatenate([each.ravel() for each in found.mean.arrays.values()]))
    spread = np.std(np.stack(means), axis=0, ddof=1)
    measured = np.sqrt(np.mean(spread**2)) * DEVICES / 0.5
    assert 2.2 < measured < 4.6

"""A device's steps when a server asks twice, at once, or for something else than it began with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.secure_aggregation.identity import keep_known
from client.secure_aggregation.keeping import FolderKeeper
from client.secure_aggregation.taking_part import Protection, Trained, answer_step, own_step
from client.store import DeviceFolder
from common.heads.specification import HEAD_STAGE, HeadSpecification
from common.heads.universal import initial_head
from common.messages import Request, SumRequest
from common.secure_aggregation import steps
from common.secure_aggregation.messages import Advertisement
from common.secure_aggregation.rounds import digest_of_head
from common.secure_aggregation.session import SecureSumRefused
from common.settings import FederationPlan
from common.update import HeadUpdate
from tests.common.plans import sum_plan

MEMBERS = 4
SPECIFICATION = HeadSpecification(kind="logistic", dimension=3, features="made-up")
HEAD = initial_head(SPECIFICATION, 1)
PLAN = sum_plan(rounds=1, learning_rate=0.1, l2=0.0, seed=0)


def update(value: float = 0.25) -> HeadUpdate:
    arrays = {
        name: np.full(shape, value, np.float32)
        for name, shape in SPECIFICATION.shapes(HEAD_STAGE).items()
    }
    return HeadUpdate(
        specification=SPECIFICATION, stage=HEAD_STAGE, round=1, clips=8, arrays=arrays
    )


def train(request: Request, protection: Protection) -> Trained:
    return update(), {"secure_sum": protection.secure_sum}


@dataclass
class Sum:
    """Four devices, of whom each is asked step by step; the first is the one under test."""

    devices: list[DeviceFolder]
    known: list[bytes]

    def ask(
        self,
        device: int,
        step: str,
        payload: bytes,
        plan: FederationPlan = PLAN,
        train: Callable[[Request, Protection], Trained] = train,
    ) -> bytes:
        head = HEAD if step == steps.MASK else None
        asked = SumRequest(plan, SPECIFICATION, HEAD_STAGE, 1, step, payload, head)
        store = self.devices[device]
        answer = answer_step(store, asked, willing=lambda *_: True, train=train)
        assert answer is not None
        if step == steps.MASK:  # as the gate does
            told = own_step(store, asked).told
            store.ledger.append({"arrays": [], "stage": HEAD_STAGE, **told})
        return answer

    def invitation(self, attempt: int = 1) -> bytes:
        head = digest_of_head(SPECIFICATION, HEAD.arrays)
        return steps.write_invitation(steps.Invitation(attempt, head, tuple(self.known)))

    def keys(self, plan: FederationPlan = PLAN, attempt: int = 1) -> list[Advertisement]:
        told = self.invitation(attempt)
        return [
            steps.read_keys(n + 1, self.ask(n, steps.ADVERTISE, told, plan)) for n in range(MEMBERS)
        ]

    def incoming(self, plan: FederationPlan = PLAN, attempt: int = 1) -> dict[int, bytes]:
        """All steps up to what the first device is to mask with, by how many others shared."""
        keys = steps.write_all_keys(self.keys(plan, attempt))
        shares = [
            each
            for n in range(MEMBERS)
            for each in steps.read_shares(n + 1, self.ask(n, steps.SHARE, keys, plan))
            if each.receiver == 1
        ]
        return {count: steps.write_incoming(shares[:count]) for count in (2, 3)}


@pytest.fixture
def made(tmp_path: Path) -> Sum:
    keys = [Ed25519PrivateKey.generate() for _ in range(MEMBERS)]
    known = [key.public_key().public_bytes_raw() for key in keys]
    devices = []
    for number, key in enumerate(keys):
        folder = DeviceFolder(tmp_path / str(number))
        folder.path.mkdir()
        keep_known(folder.path, key, known)
        devices.append(folder)
    return Sum(devices, known)


def test_two_processes_at_once_put_one_vector_under_the_masks(made: Sum, tmp_path: Path) -> None:
    """Else their difference would be a pair's mask, or what was trained in between."""
    incoming = made.incoming()

    def slow(request: Request, protection: Protection) -> Trained:
        (tmp_path / f"in-{os.getpid()}").touch()
        end = time.monotonic() + 0.5
        while len(list(tmp_path.glob("in-*"))) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        return update(float(os.getpid() % 7)), {}

    children = []
    for count, payload in incoming.items():
        child = os.fork()
        if not child:
            try:
                answer = made.ask(0, steps.MASK, payload, train=slow)
                (tmp_path / f"answer-{count}").write_bytes(answer)
            except SecureSumRefused:
                (tmp_path / f"refused-{count}").touch()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert len(list(tmp_path.glob("answer-*"))) == 1
    assert len(list(tmp_path.glob("refused-*"))) == 1
    assert len(list(tmp_path.glob("in-*"))) == 1


class Killed(BaseException):
    """The end of a process, as far as what it leaves behind goes."""


def test_masks_are_bound_to_one_request_before_anything_is_trained(made: Sum) -> None:
    incoming = made.incoming()

    def dies(request: Request, protection: Protection) -> Trained:
        raise Killed

    with pytest.raises(Killed):
        made.ask(0, steps.MASK, incoming[3], train=dies)
    with pytest.raises(SecureSumRefused, match="for another request's vector"):
        made.ask(0, steps.MASK, incoming[2])
    answer = made.ask(0, steps.MASK, incoming[3])
    assert made.ask(0, steps.MASK, incoming[3], train=dies) == answer


def test_what_another_process_kept_is_not_overwritten(made: Sum) -> None:
    made.keys()
    keeper = FolderKeeper(made.devices[0].path)
    before = keeper.kept()
    assert before is not None
    keeper.keep(replace(before, step=steps.SHARE), before)
    with pytest.raises(SecureSumRefused, match="at the same time"):
        keeper.keep(replace(before, step=steps.MASK), before)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 1e-300}, {"clip_norm": 1e-9}, {"strategy": "fedavgm"}]
)
def test_members_who_were_told_another_plan_do_not_share(
    made: Sum, change: dict[str, object]
) -> None:
    """A server that lets all but one train next to nothing would read that one's update."""
    told = made.invitation()
    plans = [PLAN, *[replace(PLAN, **change)] * (MEMBERS - 1)]  # type: ignore[arg-type]
    keys = [
        steps.read_keys(n + 1, made.ask(n, steps.ADVERTISE, told, plan))
        for n, plan in enumerate(plans)
    ]
    with pytest.raises(SecureSumRefused, match="not signed by that member for this session"):
        made.ask(0, steps.SHARE, steps.write_all_keys(keys))


def test_the_noise_that_was_promised_is_the_noise_that_is_made(made: Sum) -> None:
    promised = replace(PLAN, clip_norm=1.0, noise_multiplier=20.0)
    incoming = made.incoming(promised)
    for other in (replace(promised, noise_multiplier=1e-3), replace(promised, clip_norm=2.0)):
        with pytest.raises(SecureSumRefused, match="of another secure sum"):
            made.ask(0, steps.MASK, incoming[3], other)


def test_a_number_of_rounds_that_is_raised_meanwhile_is_no_other_plan(made: Sum) -> None:
    incoming = made.incoming()
    answer = made.ask(0, steps.MASK, incoming[3])
    assert made.ask(0, steps.MASK, incoming[3], replace(PLAN, rounds=9)) == answer


def test_a_session_is_not_begun_twice(made: Sum) -> None:
    """Not at once, and not after another: what was signed in it would be good for both."""
    incoming = made.incoming()
    with pytest.raises(SecureSumRefused, match="begins a secure sum anew"):
        made.ask(0, steps.ADVERTISE, made.invitation())
    made.ask(0, steps.MASK, incoming[3])
    made.ask(0, steps.ADVERTISE, made.invitation(attempt=2))
    with pytest.raises(SecureSumRefused, match="begins a secure sum anew"):
        made.ask(0, steps.ADVERTISE, made.invitation())


def test_the_first_step_again_is_the_same_answer(made: Sum) -> None:
    first = made.ask(0, steps.ADVERTISE, made.invitation())
    assert made.ask(0, steps.ADVERTISE, made.invitation()) == first

"""A small made-up fleet with every leak, and the same fleet as pure noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from server.audit.lab import Lab, play
from server.audit.subject import Subject
from server.audit.transcript import Received, Round, Transcript

SMALL = Lab(clients=18, clips=24, other_takes=90, rounds=6, public=10, dimension=256)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def with_rounds(subject: Subject, rounds: list[Round]) -> Subject:
    transcript = replace(subject.transcript, rounds=tuple(rounds))
    return Subject(transcript, subject.candidates, subject.trainer, subject.seed, subject.canaries)


def as_noise(subject: Subject, seed: int = 1) -> Subject:
    """The same run, but every update is noise that knows nothing of anybody's clips."""
    random = np.random.default_rng(seed)

    def noise(reply: Received) -> Received:
        arrays = {name: random.normal(size=a.shape) * 1e-3 for name, a in reply.arrays.items()}
        return replace(reply, arrays=arrays)

    rounds = [
        replace(each, received=tuple(noise(reply) for reply in each.received))
        for each in subject.transcript.rounds
    ]
    final = subject.transcript.final
    arrays = dict(final.arrays)
    for name in ("population.weight", "population.bias"):
        arrays[name] = random.normal(size=arrays[name].shape).astype(np.float32)
    made: Transcript = replace(
        subject.transcript, rounds=tuple(rounds), final=replace(final, arrays=arrays)
    )
    return Subject(made, subject.candidates, subject.trainer)


@pytest.fixture(scope="session")
def leaky() -> Subject:
    return play(SMALL)


@pytest.fixture(scope="session")
def noise(leaky: Subject) -> Subject:
    return as_noise(leaky)


@pytest.fixture(scope="session")
def summed() -> Subject:
    return play(replace(SMALL, secure=True))

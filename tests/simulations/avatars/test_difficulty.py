"""The difficulty is frozen: its constants, and roughly what is drawn by them."""

from __future__ import annotations

import pytest

from simulations.avatars.difficulty import DRAWN, FROZEN
from simulations.avatars.pictures import AVATAR, FACE, Shot, take

DIGEST = "cbe05810fd4afa42a69db4eb39645c42c4f1a2742aac941dc77c00cef0c5fab2"


def test_the_constants_are_those_that_were_frozen() -> None:
    assert FROZEN.digest == DIGEST


def test_pictures_are_as_bright_as_when_they_were_frozen() -> None:
    shots = [
        Shot(1000, actor, domain, (3 * actor) % 8, "frozen", actor)
        for actor in (1, 2, 3, 4)
        for domain in (FACE, AVATAR)
    ]
    means = [float(take(shot)[16:60, 14:50].mean()) for shot in shots]
    assert means == pytest.approx(DRAWN, abs=0.3)

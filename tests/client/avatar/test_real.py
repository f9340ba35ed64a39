"""The real networks on drawn pictures: slow, as they have to be loaded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from client.avatar.check import load_checker
from client.avatar.own import fit_own_avatar
from client.avatar.sources.sheet import LEVELS
from common.expressions import EXPRESSIONS
from common.video import Image
from simulations.actors.action_units import PROTOTYPES, activations
from simulations.actors.cartoon import render_avatar
from simulations.actors.face import Pose
from simulations.avatar_data.sheets import draw_sheet, look_of
from simulations.bench.avatar import LIMITS, measure_avatar
from tests.client.avatar.test_check import known


@pytest.mark.slow
def test_the_own_avatars_head_reads_its_drawings() -> None:
    """Without it the built-in network takes most of them for surprised."""
    sheet = draw_sheet(7)
    checker = load_checker("mini-xception")
    try:
        own = fit_own_avatar(checker, sheet)
        right = {True: 0, False: 0}
        for label, name in enumerate(EXPRESSIONS):
            picture = np.asarray(sheet.pictures[LEVELS - 1, label])
            for head in (own, None):
                found = checker.compare(known(name), picture, own_avatar=head)
                right[head is not None] += found.same
                assert found.warnings == ()
    finally:
        checker.close()
    assert right[True] == len(EXPRESSIONS) > right[False] + 3


@pytest.mark.slow
def test_drawings_that_are_not_on_the_sheet_are_read_too() -> None:
    """Eight looks, other strengths and poses; docs/avatars.md tells these figures."""
    checker = load_checker("mini-xception")
    right, plain = [], []
    try:
        for look in range(8):
            own = fit_own_avatar(checker, draw_sheet(look))
            for label, picture in unseen(look):
                read = checker.read_avatar(picture)
                assert read.own is not None
                right.append(own.logits(read.features, read.own).argmax() == label)
                plain.append(read.own.argmax() == label)
    finally:
        checker.close()
    print(f"own head {np.mean(right):.3f}, backbone {np.mean(plain):.3f} of {len(right)}")
    assert np.mean(right) > 0.8 > 0.3 > np.mean(plain)


def unseen(look: int) -> Iterator[tuple[int, Image]]:
    poses = (Pose(yaw=4, scale=1.3), Pose(yaw=-4, pitch=3, roll=2, scale=1.4))
    for strength, pose in zip((0.8, 1.15), poses, strict=True):
        for label, name in enumerate(EXPRESSIONS):
            units = activations(PROTOTYPES[name][0]) * strength
            yield label, render_avatar(look_of(look), units, pose, 240)


@pytest.mark.slow
def test_the_benchmark_measures_a_personal_head() -> None:
    told = measure_avatar(repeats=1, watch=lambda phase, done, total: None)
    assert told["head"] == "personal"
    assert told["limits"] == LIMITS
    assert told["check_ms"] > 0

"""Avatars and what was added to actors: they are drawn, and leave the actors as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.errors import UsageError
from simulations.actors.cartoon import render_avatar
from simulations.actors.face import Pose, render_frame
from simulations.actors.identity import (
    BEARD_STYLES,
    GLASSES,
    MORE_HAIR_STYLES,
    draw_identity,
    dressed,
)

SIZE = 64
PLAIN = replace(draw_identity(0, 3), hair_style="short", beard=0.0)


def frame(who: object, units: dict[str, float] | None = None) -> np.ndarray:
    return render_frame(who, units or {}, size=SIZE).astype(float)  # type: ignore[arg-type]


def avatar(who: object, units: dict[str, float] | None = None) -> np.ndarray:
    return render_avatar(who, units or {}, size=SIZE).astype(float)  # type: ignore[arg-type]


def test_an_avatar_is_drawn_alike_every_time_and_unlike_the_actor() -> None:
    assert np.array_equal(avatar(PLAIN), avatar(PLAIN))
    assert np.abs(avatar(PLAIN) - frame(PLAIN)).mean() > 20


@pytest.mark.parametrize(
    "units",
    [{"AU12": 0.8}, {"AU04": 0.8}, {"AU26": 0.8, "AU25": 0.5}, {"AU43": 1.0}, {"AU15": 0.8}],
    ids=lambda units: "-".join(units),
)
def test_an_avatar_shows_action_units(units: dict[str, float]) -> None:
    assert np.abs(avatar(PLAIN, units) - avatar(PLAIN)).max() > 60


@pytest.mark.parametrize("draw", [frame, avatar])
@pytest.mark.parametrize("glasses", GLASSES[1:])
def test_glasses_are_seen(draw: type, glasses: str) -> None:
    worn = replace(PLAIN, glasses=glasses)
    assert np.abs(draw(worn) - draw(PLAIN)).max() > 40


@pytest.mark.parametrize("draw", [frame, avatar])
@pytest.mark.parametrize("style", BEARD_STYLES)
def test_beards_are_seen(draw: type, style: str) -> None:
    bearded = replace(PLAIN, beard=0.85, beard_style=style)
    assert np.abs(draw(bearded) - draw(PLAIN)).max() > 40


@pytest.mark.parametrize("draw", [frame, avatar])
@pytest.mark.parametrize("style", MORE_HAIR_STYLES)
def test_more_hair_is_drawn(draw: type, style: str) -> None:
    assert np.abs(draw(replace(PLAIN, hair_style=style)) - draw(PLAIN)).max() > 40


def test_a_turned_head_moves() -> None:
    turned = render_avatar(PLAIN, {}, Pose(yaw=15.0, roll=8.0), SIZE).astype(float)
    assert np.abs(turned - avatar(PLAIN)).mean() > 2


def test_dressing_leaves_the_face_and_is_a_function_of_seed_and_actor() -> None:
    assert dressed(1, 6) == dressed(1, 6)
    plain, worn = draw_identity(1, 6), dressed(1, 6)
    assert (plain.skin, plain.mouth_width, plain.texture) == (
        worn.skin,
        worn.mouth_width,
        worn.texture,
    )
    assert {dressed(0, actor).glasses for actor in range(1, 25)} > {"none", "round"}


def test_an_avatar_of_too_few_pixels_is_refused() -> None:
    with pytest.raises(UsageError, match="avatar size is 20"):
        render_avatar(PLAIN, {}, size=20)

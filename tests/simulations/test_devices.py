"""Users as devices: each has the own clips only, and stays out of the federation that tests it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.personalisation.maximum_a_posteriori import CANDIDATES
from client.store import DeviceFolder
from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from common.paths import simulated_device
from simulations.devices import create_devices
from simulations.protocols import Protocol, make_protocol
from simulations.selection import Choice
from simulations.sources import load_table_source
from tests.simulations.tables import FEATURES, USERS, write_table

SPECIFICATION = HeadSpecification(kind="logistic", dimension=FEATURES, features="made-up")


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, ClipSet, Protocol]:
    clips = load_table_source(write_table(tmp_path / "table.csv")).clips
    protocol = make_protocol("by-take", clips, None, folds=3)
    choices = {
        name: Choice(0.01, 1.0, 1.0, evidence=tuple(float(number) for _ in CANDIDATES))
        for number, name in enumerate(protocol.held_out)
    }
    users = create_devices(
        tmp_path, SPECIFICATION, clips, protocol, choices, seed=4, own_clips=(1, 2), draws=3
    )
    assert users == list(USERS)
    return tmp_path, clips, protocol


def test_each_device_has_its_user_s_clips_only(made: tuple[Path, ClipSet, Protocol]) -> None:
    root, clips, _ = made
    assert len(list((root / "devices").iterdir())) == len(USERS)
    for index, user in enumerate(USERS):
        own = DeviceFolder(simulated_device(root, index)).clips()
        expected = clips.of_user(user)
        assert own.user_names() == (user,)
        assert own.names == expected.names
        np.testing.assert_array_equal(own.frames, expected.frames)
        np.testing.assert_array_equal(own.labels, expected.labels)


def test_parts_name_the_protocol_s_clips(made: tuple[Path, ClipSet, Protocol]) -> None:
    root, _, protocol = made
    for index, user in enumerate(USERS):
        folder = DeviceFolder(simulated_device(root, index))
        names, settings = folder.clips().names, folder.settings()
        splits = [split for split in protocol.splits if split.user == user]
        assert len(settings.parts) == len(splits) == 1
        (part,), (split,) = settings.parts, splits
        assert tuple(names[place] for place in part.adaptation) == split.adaptation
        assert tuple(names[place] for place in part.test) == split.test
        assert not set(split.adaptation) & set(split.test)
        assert (settings.seed, settings.own_clips, settings.draws) == (4, (1, 2), 3)


def test_a_user_is_tested_by_the_federation_it_is_held_out_of(
    made: tuple[Path, ClipSet, Protocol],
) -> None:
    root, _, protocol = made
    for index, user in enumerate(USERS):
        settings = DeviceFolder(simulated_device(root, index)).settings()
        out = tuple(name for name, users in protocol.held_out.items() if user in users)
        assert settings.held_out_of == out == tuple(part.federation for part in settings.parts)
        number = list(protocol.held_out).index(out[0])
        assert settings.parts[0].evidence == (float(number),) * len(CANDIDATES)
        assert settings.peers == ("fine-tune",)

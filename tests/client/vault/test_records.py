"""Any record that goes into a vault comes out of it as it was."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.vault.records import Consent, User
from client.vault.vault import Vault, new_id
from tests.client.vault.support import a_clip, a_user, new_vault, some_arrays

names = st.text(st.characters(), min_size=1, max_size=60).filter(str.strip)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return new_vault(tmp_path_factory.mktemp("shared"))


@settings(deadline=None, max_examples=40)
@given(name=names, text=names, time=names, federate=st.booleans())
def test_any_user_comes_back(
    shared: Vault, name: str, text: str, time: str, federate: bool
) -> None:
    consent = Consent(version=1, given=time, federate=federate)
    user = User(id=new_id(), name=name, enrolled=text, consent=consent)
    shared.save_user(user)
    assert shared.user(name) == user
    shared.forget(user.id)
    assert shared.user(name) is None


@settings(deadline=None, max_examples=40)
@given(value=json_values, name=names)
def test_any_setting_comes_back(shared: Vault, value: Any, name: str) -> None:
    shared.set_setting(name, value)
    assert shared.setting(name) == value


@settings(deadline=None, max_examples=40)
@given(
    answer=st.dictionaries(names, json_values, max_size=4),
    name=names,
    label=st.none() | st.integers(0, 7),
    frames=st.integers(1, 5),
    width=st.integers(0, 4),
    own=st.booleans(),
)
def test_any_clip_comes_back(
    shared: Vault,
    answer: dict[str, Any],
    name: str,
    label: int | None,
    frames: int,
    width: int,
    own: bool,
) -> None:
    user = a_user("of any clip")
    clip = dataclasses.replace(a_clip(user, label=label), name=name, answer=answer)
    arrays = dataclasses.replace(some_arrays(1, frames, width), own=np.ones(8) if own else None)
    shared.save_user(user)
    shared.add_clip(clip, arrays)
    found = shared.arrays(clip.id)
    assert shared.clips(user=user.id) == (clip,)
    assert np.array_equal(found.features, arrays.features)
    assert (found.own is not None) == own
    shared.forget(user.id)

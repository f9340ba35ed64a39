from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from common.video.extract import ClipFeatures
from simulations.data.cache import FeatureCache, feature_key

KEY = "ab" * 32


def some_clip() -> ClipFeatures:
    features = np.arange(12, dtype=np.float32).reshape(3, 4)
    return ClipFeatures(features, decoded=5, with_face=3, several_faces=1, spec="x/1/1")


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "a" / "cache")


def test_what_was_put_is_got(cache: FeatureCache) -> None:
    assert cache.get(KEY) is None
    clip = some_clip()
    cache.put(KEY, clip)
    found = cache.get(KEY)
    assert found is not None
    assert found.features.dtype == np.float32
    assert np.array_equal(found.features, clip.features)
    assert (found.decoded, found.with_face, found.several_faces, found.spec) == (5, 3, 1, "x/1/1")
    assert cache.get("cd" * 32) is None


def test_only_the_owner_may_read(cache: FeatureCache) -> None:
    cache.put(KEY, some_clip())
    assert stat.S_IMODE(cache.path(KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.path(KEY).parent.stat().st_mode) == 0o700
    assert [path.name for path in cache.path(KEY).parent.iterdir()] == [f"{KEY}.safetensors"]


@given(place=st.integers(0, 10_000), change=st.integers(1, 255), cut=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_never_passes_for_features(
    cache: FeatureCache, place: int, change: int, cut: bool
) -> None:
    cache.put(KEY, some_clip())
    content = bytearray(cache.path(KEY).read_bytes())
    place %= len(content)
    content[place] ^= change
    cache.path(KEY).write_bytes(content[:place] if cut else content)
    found = cache.get(KEY)
    if found is not None:  # the name of an unused field may have changed, nothing else
        assert np.array_equal(found.features, some_clip().features)
        assert (found.decoded, found.several_faces, found.spec) == (5, 1, "x/1/1")
    assert not (cut and found)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        save({}),
        save({"features": np.zeros((2, 2), np.float32)}),
        save({"other": np.zeros((2, 2), np.float32)}, {"clip": "{}"}),
        save({"features": np.zeros((2, 2), np.float32)}, {"clip": "[]"}),
    ],
)
def test_other_files_count_as_absent(cache: FeatureCache, content: bytes) -> None:
    cache.path(KEY).parent.mkdir(parents=True)
    cache.path(KEY).write_bytes(content)
    assert cache.get(KEY) is None


def test_key_follows_content_spec_and_choice_of_frames(tmp_path: Path) -> None:
    one, twin, other = (tmp_path / name for name in ("one", "twin", "other"))
    one.write_bytes(b"clip")
    twin.write_bytes(b"clip")
    other.write_bytes(b"clip.")
    base = feature_key(one, "x/1/1", every=1, max_frames=None)
    assert len(base) == 64
    assert feature_key(twin, "x/1/1", every=1, max_frames=None) == base
    changed = {
        feature_key(other, "x/1/1", every=1, max_frames=None),
        feature_key(one, "x/2/1", every=1, max_frames=None),
        feature_key(one, "x/1/1", every=2, max_frames=None),
        feature_key(one, "x/1/1", every=1, max_frames=2),
    }
    assert len(changed | {base}) == 5

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from common.video.extract import ClipFeatures
from simulations.data.cache import FeatureCache, StoredClip, feature_key

KEY = "ab" * 32


def some_clip() -> StoredClip:
    features = np.arange(12, dtype=np.float32).reshape(3, 4)
    clip = ClipFeatures(features, decoded=5, with_face=3, several_faces=1, spec="x/1/1")
    return StoredClip(clip, np.array([0, 2, 3], dtype=np.int32))


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "a" / "cache")


def facts(stored: StoredClip) -> tuple[object, ...]:
    clip = stored.clip
    return (
        clip.features.tolist(),
        clip.features.dtype,
        stored.numbers.tolist(),
        (clip.decoded, clip.with_face, clip.several_faces, clip.spec),
    )


def test_what_was_put_is_got(cache: FeatureCache) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, some_clip())
    found = cache.get(KEY)
    assert found is not None
    assert facts(found) == facts(some_clip())
    assert cache.get("cd" * 32) is None


def test_no_face_is_remembered(cache: FeatureCache) -> None:
    assert not cache.has_no_face(KEY)
    cache.put_no_face(KEY)
    assert cache.has_no_face(KEY)
    assert not cache.has_no_face("cd" * 32)
    assert cache.get(KEY) is None
    (path,) = cache.path(KEY).parent.iterdir()
    path.write_bytes(b"{}")
    assert not cache.has_no_face(KEY)


def test_frame_numbers_must_fit() -> None:
    with pytest.raises(ValueError, match="one int32 per feature"):
        StoredClip(some_clip().clip, np.zeros(2, np.int32))


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
        assert facts(found) == facts(some_clip())
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
    software = {"av": "1", "numpy": "2"}

    def key(path: Path = one, spec: str = "x/1/1", every: int = 1, most: int | None = None) -> str:
        return feature_key(path, spec, every=every, max_frames=most, software=software)

    base = key()
    assert len(base) == 64
    assert key(twin) == base
    changed = {key(other), key(spec="x/2/1"), key(every=2), key(most=2)}
    software = {"numpy": "2", "av": "1"}
    assert key() == base
    software = {"av": "1.1", "numpy": "2"}
    assert len(changed | {base, key()}) == 6

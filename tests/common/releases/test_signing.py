"""Releases are read back as they were signed; whatever byte is changed, they are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import save

from common.errors import UsageError
from common.releases import Manifest, PrivacySpent, link_of, read_release, sign_release
from common.releases.container import MOST_BYTES, content_of, opened, sealed
from common.releases.errors import (
    BadArrays,
    NotARelease,
    ReleaseRefused,
    Tampered,
    WrongKey,
)
from common.releases.manifest import MOST_TENSOR_BYTES, NO_PARENT
from common.releases.signing import read_manifest
from tests.common.releases.made import (
    KEY,
    LABELS,
    OTHER_KEY,
    SPECIFICATION,
    arrays_of,
    draft,
    manifest_of,
)

CONTENT = sign_release(draft(), None, KEY)
LINK = link_of(CONTENT)
PINNED = KEY.public_key()


def signed_anew(manifest: dict[str, object] | bytes, tensors: bytes | None = None) -> bytes:
    """A release that the right key signed, whatever it says."""
    parts = opened(CONTENT)
    text = manifest
    if isinstance(text, dict):
        text = json.dumps(text, sort_keys=True, separators=(",", ":")).encode()
    return sealed(text, (parts.tensors or b"") if tensors is None else tensors, KEY).to_bytes()


def manifest_values() -> dict[str, object]:
    values: dict[str, object] = json.loads(opened(CONTENT).manifest)
    return values


def with_tensors(tensors: bytes) -> bytes:
    import hashlib

    changes = {"tensors_sha256": hashlib.sha256(tensors).hexdigest(), "tensors_bytes": len(tensors)}
    return signed_anew({**manifest_values(), **changes}, tensors)


def test_a_release_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "1.release"
    path.write_bytes(CONTENT)
    for source in (CONTENT, path):
        release = read_release(source, PINNED)
        assert release.manifest.sequence == 1
        assert release.manifest.parent == NO_PARENT
        assert release.manifest.specification == SPECIFICATION
        assert release.manifest.expressions == LABELS
        assert release.manifest.privacy == PrivacySpent(2.0, 1e-5)
        assert set(release.arrays) == set(SPECIFICATION.all_shapes())
        assert all(
            array.tobytes() == arrays_of(1.0)[name].tobytes()
            for name, array in release.arrays.items()
        )


def test_the_next_release_names_the_one_before() -> None:
    following = read_release(sign_release(draft(2.0), manifest_of(CONTENT), KEY), PINNED)
    assert following.manifest.sequence == 2
    assert following.manifest.parent == read_release(CONTENT, PINNED).sha256


@given(at=st.integers(0, len(CONTENT) - 1), mask=st.integers(1, 255))
@example(at=0, mask=1)
@example(at=8, mask=128)
@example(at=40, mask=1)
@example(at=103, mask=128)
@example(at=len(CONTENT) - 1, mask=1)
def test_any_changed_byte_is_refused(at: int, mask: int) -> None:
    changed = bytearray(CONTENT)
    changed[at] ^= mask
    with pytest.raises(ReleaseRefused):
        read_release(bytes(changed), PINNED)


def test_each_single_bit_of_header_and_manifest_is_refused() -> None:
    for at in range(len(LINK)):
        for bit in range(8):
            changed = bytearray(LINK)
            changed[at] ^= 1 << bit
            with pytest.raises(ReleaseRefused):
                read_manifest(bytes(changed), PINNED)


@given(cut=st.integers(0, len(CONTENT) - 1))
def test_what_is_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(ReleaseRefused):
        read_release(CONTENT[:cut], PINNED)


@given(added=st.binary(min_size=1, max_size=200))
def test_what_has_something_added_is_refused(added: bytes) -> None:
    with pytest.raises(NotARelease):
        read_release(CONTENT + added, PINNED)


@given(content=st.binary(max_size=400))
def test_other_bytes_are_no_release(content: bytes) -> None:
    with pytest.raises(NotARelease):
        read_release(content, PINNED)
    with pytest.raises(ReleaseRefused):
        read_release(CONTENT[:8] + content, PINNED)


def test_another_key_is_told_apart_from_tampering() -> None:
    with pytest.raises(WrongKey, match=r"key [0-9a-f]{16}, and the pinned one is"):
        read_release(CONTENT, OTHER_KEY.public_key())
    forged = bytearray(sign_release(draft(), None, OTHER_KEY))
    forged[8:40] = CONTENT[8:40]
    with pytest.raises(Tampered, match="signature"):
        read_release(bytes(forged), PINNED)
    with pytest.raises(Tampered, match="tensors"):
        read_release(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]), PINNED)


def test_a_link_proves_the_manifest_and_holds_no_head(tmp_path: Path) -> None:
    assert read_manifest(LINK, PINNED) == manifest_of(CONTENT)
    assert link_of(LINK) == LINK
    path = tmp_path / "1.release"
    path.write_bytes(CONTENT)
    assert content_of(path, tensors=False) == LINK
    with pytest.raises(NotARelease, match="link"):
        read_release(LINK, PINNED)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_arrays_that_are_not_finite_are_neither_signed_nor_read(value: float) -> None:
    arrays = arrays_of(1.0)
    arrays["user.bias"][0] = value
    with pytest.raises(BadArrays, match=r"user\.bias has a value that is not finite"):
        sign_release(draft(arrays=arrays), None, KEY)
    with pytest.raises(BadArrays, match=r"user\.bias"):
        read_release(with_tensors(save(arrays)), PINNED)


@pytest.mark.parametrize(
    "change",
    [
        {"user.bias": np.zeros(3, np.float32)},
        {"user.bias": np.zeros(2, np.float64)},
        {"extra": np.zeros(1, np.float32)},
    ],
)
def test_arrays_of_another_head_are_neither_signed_nor_read(
    change: dict[str, np.ndarray],
) -> None:
    arrays = {**arrays_of(1.0), **change}
    with pytest.raises(BadArrays):
        sign_release(draft(arrays=arrays), None, KEY)
    with pytest.raises(BadArrays):
        read_release(with_tensors(save(arrays)), PINNED)


@pytest.mark.parametrize("tensors", [b"", b"\0" * 8, b"\xff" * 64, b"not safetensors at all"])
def test_signed_rubbish_in_place_of_tensors_is_refused(tensors: bytes) -> None:
    with pytest.raises(BadArrays):
        read_release(with_tensors(tensors), PINNED)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 2),
        ("fleet", "Fleet A"),
        ("fleet", ["fleet-a"]),
        ("sequence", 0),
        ("sequence", 1.0),
        ("sequence", True),
        ("sequence", 2),  # with no parent
        ("parent", "1" * 64),  # of a first release
        ("parent", "1" * 63),
        ("round", -1),
        ("tensors_bytes", MOST_TENSOR_BYTES + 1),
        ("tensors_sha256", "x" * 64),
        ("created", "yesterday"),
        ("expressions", ["calm"]),
        ("expressions", ["calm", "calm"]),
        ("expressions", "ab"),
        ("metrics", {"uar": "high"}),
        ("metrics", {"uar": True}),
        ("metrics", []),
        ("metrics", {f"m{n}": 0.0 for n in range(65)}),
        ("privacy", {"epsilon": -1.0, "delta": 0.1}),
        ("privacy", {"epsilon": 1.0, "delta": None}),
        ("privacy", {"epsilon": 1.0}),
        ("privacy", None),
        ("next_key", "short"),
        ("specification", {"kind": "logistic"}),
        ("specification", 7),
        ("unknown", 1),
    ],
)
def test_a_signed_manifest_that_is_out_of_order_is_refused(name: str, value: object) -> None:
    with pytest.raises(NotARelease):
        read_release(signed_anew({**manifest_values(), name: value}), PINNED)


def test_a_manifest_has_one_form() -> None:
    values = manifest_values()
    for text in (
        json.dumps(values, sort_keys=True),  # spaces
        json.dumps(values, separators=(",", ":"))[::1].replace('"fleet"', '"fleet" '),
        json.dumps(dict(reversed(values.items())), separators=(",", ":")),
        json.dumps(values, sort_keys=True, separators=(",", ":")).replace("{", '{"round":1,', 1),
    ):
        with pytest.raises(NotARelease, match="canonical"):
            read_release(signed_anew(text.encode()), PINNED)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"[" * 50_000, b'{"format":NaN}'])
def test_signed_rubbish_in_place_of_a_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(NotARelease):
        read_release(signed_anew(text), PINNED)


@given(
    epsilon=st.floats(0, 1e9),
    delta=st.floats(1e-300, 1, exclude_max=True),
    metrics=st.dictionaries(
        st.from_regex(r"[a-z0-9_.-]{1,64}", fullmatch=True),
        st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
        max_size=5,
    ),
)
def test_manifests_survive_their_form(
    epsilon: float, delta: float, metrics: dict[str, float]
) -> None:
    content = sign_release(draft(metrics=metrics, privacy=PrivacySpent(epsilon, delta)), None, KEY)
    manifest = read_release(content, PINNED).manifest
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert (dict(manifest.metrics), manifest.privacy.epsilon) == (metrics, epsilon)


def test_lengths_are_bounded_before_anything_is_read(tmp_path: Path) -> None:
    header = bytearray(CONTENT[:112])
    struct.pack_into(">II", header, 104, 2**32 - 1, 2**32 - 1)
    path = tmp_path / "huge.release"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(3 * MOST_BYTES)  # sparse
    assert len(content_of(path)) == MOST_BYTES + 1
    assert len(content_of(path, tensors=False)) < 100_000
    with pytest.raises(NotARelease):
        read_release(path, PINNED)
    with pytest.raises(NotARelease, match=r"missing\.release can't be read"):
        read_release(tmp_path / "missing.release", PINNED)


@pytest.mark.parametrize("changes", [{"fleet": "A B"}, {"created": "now"}, {"round": -1}])
def test_a_draft_that_is_out_of_order_is_not_signed(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(changes))):
        sign_release(draft(**changes), None, KEY)

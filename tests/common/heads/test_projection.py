"""The public projection: the same for everybody, and named by what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from common.clips import make_clip_set
from common.errors import UsageError
from common.heads.leak import check_federated
from common.heads.projection import (
    Projection,
    discriminant_projection,
    load_projection,
    principal_projection,
    random_projection,
    save_projection,
)
from common.heads.specification import HeadSpecification

NAME = "made-up/1"


def public(clips: int = 60, dimension: int = 40, seed: int = 0) -> np.ndarray:
    chooser = np.random.default_rng(seed)
    return chooser.normal(size=(clips, dimension)) * np.linspace(5, 0.1, dimension) + 3


@given(dimension=st.integers(2, 60), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=25)
def test_a_seed_gives_orthonormal_directions(
    dimension: int, seed: int, data: st.DataObject
) -> None:
    width = data.draw(st.integers(1, min(32, dimension)))
    one = random_projection(NAME, dimension, width, seed)
    np.testing.assert_allclose(one.matrix.T @ one.matrix, np.eye(width), atol=1e-5)
    assert one.sha256 == random_projection(NAME, dimension, width, seed).sha256
    assert one.sha256 != random_projection(NAME, dimension, width, seed + 1).sha256


def test_principal_directions_are_the_covariances() -> None:
    rows = public()
    found = principal_projection(NAME, rows, 3)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    for column in range(3):
        expected = vectors[:, np.argsort(-values)[column]]
        assert abs(float(expected @ found.matrix[:, column])) == pytest.approx(1, abs=1e-5)
        assert found.matrix[np.abs(found.matrix[:, column]).argmax(), column] > 0
    np.testing.assert_allclose(found.apply(rows).mean(axis=0), 0, atol=1e-5)


def labelled(clips: int = 400, dimension: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Four expressions that differ in two quiet directions; the loud ones tell nothing."""
    chooser = np.random.default_rng(1)
    labels = chooser.integers(0, 4, clips)
    scale = np.concatenate([np.full(dimension - 2, 5.0), [0.1, 0.1]])
    rows = chooser.normal(size=(clips, dimension)) * scale
    rows[:, -2:] += np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[labels]
    return rows, labels


def accuracy(rows: np.ndarray, labels: np.ndarray) -> float:
    """Of the nearest class mean."""
    means = np.stack([rows[labels == label].mean(axis=0) for label in range(4)])
    return float((((rows[:, None] - means) ** 2).sum(-1).argmin(1) == labels).mean())


def test_discriminants_keep_what_principal_directions_lose() -> None:
    rows, labels = labelled()
    kept = discriminant_projection(NAME, rows, labels, 2, shrinkage=0.0)
    assert accuracy(kept.apply(rows), labels) > 0.98
    assert accuracy(principal_projection(NAME, rows, 2).apply(rows), labels) < 0.5


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_discriminants_are_the_textbooks(shrinkage: float) -> None:
    rows, labels = labelled()
    found = discriminant_projection(NAME, rows, labels, 3, shrinkage=shrinkage)
    oracle = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(rows, labels)
    expected = oracle.transform(rows)[:, :2]
    fitted = found.apply(rows)[:, :2].astype(np.float64)
    for column in range(2):
        match = np.corrcoef(expected[:, column], fitted[:, column])[0, 1]
        assert abs(match) == pytest.approx(1, abs=0.01)


def test_discriminants_of_fewer_clips_than_features_need_shrinkage() -> None:
    rows, labels = labelled(clips=40, dimension=60)
    discriminant_projection(NAME, rows, labels, 3)
    with pytest.raises(UsageError, match="shrinkage"):
        discriminant_projection(NAME, rows, labels, 3, shrinkage=0.0)
    with pytest.raises(UsageError, match="shrinkage is 2"):
        discriminant_projection(NAME, rows, labels, 3, shrinkage=2.0)
    with pytest.raises(UsageError, match="more than 4 expressions"):
        discriminant_projection(NAME, rows, labels, 4)
    with pytest.raises(UsageError, match="shapes"):
        discriminant_projection(NAME, rows, labels[1:], 3)


def test_frames_are_projected_one_by_one() -> None:
    projection = random_projection(NAME, 40, 5, 1)
    rows = public().astype(np.float32)
    slow = [
        [
            sum(float(a) * float(b) for a, b in zip(row, column, strict=True))
            for column in projection.matrix.T
        ]
        for row in rows[:4]
    ]
    np.testing.assert_allclose(projection.apply(rows)[:4], slow, rtol=1e-4, atol=1e-4)
    clips = make_clip_set(["a", "b"], ["u", "u"], [0, 1], [rows[:3], rows[3:5]])
    found = projection.of_clips(clips)
    assert (found.names, found.lengths.tolist(), found.dimension) == (clips.names, [3, 2], 5)


def test_a_specification_names_the_projection() -> None:
    projection = random_projection(NAME, 40, 32, 1)
    wide = HeadSpecification(kind="self-attention", dimension=40, features=NAME)
    with pytest.raises(UsageError, match="accept-leak"):
        check_federated(wide)
    narrow = projection.of_specification(wide)
    assert check_federated(narrow).accepted is False
    assert (narrow.dimension, narrow.features) == (32, projection.projected_features)
    other = random_projection(NAME, 40, 32, 2).of_specification(wide)
    assert len({narrow.number, other.number, wide.number}) == 3
    with pytest.raises(UsageError, match="the projection made-up/1 of 40"):
        projection.of_specification(narrow)


def test_it_survives_a_file(tmp_path: Path) -> None:
    projection = principal_projection(NAME, public(), 8)
    save_projection(tmp_path / "p.safetensors", projection)
    found = load_projection(tmp_path / "p.safetensors")
    assert found.sha256 == projection.sha256
    assert found.projected_features == projection.projected_features


@pytest.mark.parametrize("kind", ["missing", "empty", "cut", "changed", "text", "nan"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "p.safetensors"
    save_projection(path, principal_projection(NAME, public(), 8))
    content = bytearray(path.read_bytes())
    if kind == "missing":
        path.unlink()
    elif kind == "changed":
        content[-1] ^= 1
        path.write_bytes(bytes(content))
    elif kind == "nan":
        content[-4:] = b"\xff\xff\xff\xff"
        path.write_bytes(bytes(content))
    else:
        path.write_bytes({"empty": b"", "cut": bytes(content[:-5]), "text": b"no file"}[kind])
    with pytest.raises(UsageError, match=r"p\.safetensors is not a readable public projection"):
        load_projection(path)


@pytest.mark.parametrize("width", [0, 33, 41, -1])
def test_a_width_out_of_range_is_refused(width: int) -> None:
    with pytest.raises(UsageError, match="expected 1 to 32"):
        random_projection(NAME, 40, width, 0)


@pytest.mark.parametrize("clips", [0, 1, 8])
def test_too_few_public_clips_are_refused(clips: int) -> None:
    with pytest.raises(UsageError, match="directions, expected at least 8"):
        principal_projection(NAME, public(clips), 8)


def test_arrays_that_do_not_fit_are_refused() -> None:
    matrix = np.ones((4, 2), dtype=np.float32)
    with pytest.raises(UsageError, match="shapes"):
        Projection(NAME, np.zeros(3, dtype=np.float32), matrix)
    with pytest.raises(UsageError, match="finite float32"):
        Projection(NAME, np.zeros(4, dtype=np.float32), matrix * np.float32(np.nan))
    with pytest.raises(UsageError, match=r"shape \(2, 3\)"):
        Projection(NAME, np.zeros(4, dtype=np.float32), matrix).apply(np.zeros((2, 3)))

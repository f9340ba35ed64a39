"""Feature files: what is written is read, the same bytes each time, wholly or not at all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.backbones.registry import MINI_XCEPTION, feature_spec
from common.errors import UsageError, WorkError
from simulations.data import feature_file, parquet_table
from simulations.data.feature_file import About, ClipRows, check_target, write_features
from simulations.data.provenance import OPENFACE_SPEC
from simulations.data.table import read_table

SPEC = feature_spec(MINI_XCEPTION)
NAMES = ("01-01-03-01-01-01-01", "01-01-04-01-01-01-01", "01-01-03-01-01-02-02")


def clip(index: int, frames: int = 3, dimension: int = 4) -> ClipRows:
    features = np.random.default_rng(index).normal(size=(frames, dimension)).astype(np.float32)
    name = NAMES[index % len(NAMES)] if index < len(NAMES) else f"clip {index}"
    user = "actor-02" if index == 2 else "actor-01"
    numbers = np.arange(frames, dtype=np.int32) * 2
    return ClipRows(name, user, 3 if index == 1 else 2, numbers, features)


def about(pooling: str = "none", **changes: Any) -> About:
    facts: dict[str, Any] = {
        "spec": SPEC,
        "pooling": pooling,
        "every": 2,
        "max_frames": None,
        "clips": 3,
        "left_out": {"no_face": 2},
        "several_faces": 0,
        "columns": (),
        "software": {"av": "1"},
    }
    return About(**{**facts, **changes})


def written(folder: Path, name: str, pooling: str, **changes: Any) -> Path:
    clips = [clip(0, 3), clip(1, 1), clip(2, 5)]
    write_features(folder / name, clips, about(pooling, **changes))
    return folder / name


def test_every_frame_in_parquet(tmp_path: Path) -> None:
    path = written(tmp_path, "x.parquet", "none")
    found = read_table(path)
    assert found.clips.names == NAMES
    assert found.clips.users == ("actor-01", "actor-01", "actor-02")
    assert found.clips.labels.tolist() == [2, 3, 2]
    assert found.clips.lengths.tolist() == [3, 1, 5]
    expected = np.concatenate([clip(i, n).features for i, n in enumerate((3, 1, 5))])
    assert np.array_equal(found.clips.frames, expected)
    assert found.features == SPEC
    assert found.ravdess is not None
    rows = pq.read_table(path).to_pylist()
    assert [row["frame"] for row in rows] == [0, 2, 4, 0, 0, 2, 4, 6, 8]
    assert set(rows[0]) == {"clip", "user", "expression", "frame", "features"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
@pytest.mark.parametrize(("pooling", "pool"), [("max", np.max), ("mean", np.mean)])
def test_a_row_per_clip(tmp_path: Path, name: str, pooling: str, pool: Any) -> None:
    found = read_table(written(tmp_path, name, pooling))
    assert found.clips.lengths.tolist() == [1, 1, 1]
    expected = np.stack([pool(clip(i, n).features, axis=0) for i, n in enumerate((3, 1, 5))])
    np.testing.assert_allclose(found.clips.frames, expected, rtol=1e-6, atol=1e-7)
    assert found.features == f"{SPEC}/{pooling}"
    assert found.ravdess is not None


@given(
    features=arrays.arrays(
        np.float32,
        (3, 2),
        elements=st.floats(-(2.0**90), 2.0**90, width=32, allow_nan=False),
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_keeps_every_bit(tmp_path: Path, features: np.ndarray[Any, Any]) -> None:
    clips = [clip(i)._replace(features=features[i : i + 1]) for i in range(3)]
    write_features(tmp_path / "x.csv", clips, about("max"))
    assert read_table(tmp_path / "x.csv").clips.frames.tobytes() == features.tobytes()


def test_the_file_tells_how_it_was_made(tmp_path: Path) -> None:
    metadata = pq.read_metadata(written(tmp_path, "x.parquet", "none")).metadata
    facts = json.loads(metadata[b"mien"])
    assert facts["spec"] == SPEC
    assert facts["left_out"] == {"no_face": 2}
    assert facts["software"] == {"av": "1"}
    assert (facts["pooling"], facts["every"], facts["clips"]) == ("none", 2, 3)
    text = written(tmp_path, "x.csv", "max", columns=("AU01_r", "b", "c", "d")).read_text()
    head, row = text.splitlines()[:2]
    assert head == "clip,user,expression,mien_spec,mien_pooling,mien_about,AU01_r,b,c,d"
    assert f",{SPEC},max," in row


@pytest.mark.parametrize(("name", "pooling"), [("x.parquet", "none"), ("x.csv", "max")])
def test_the_same_clips_give_the_same_bytes(tmp_path: Path, name: str, pooling: str) -> None:
    (tmp_path / "two").mkdir()
    one = written(tmp_path, name, pooling).read_bytes()
    assert written(tmp_path / "two", name, pooling).read_bytes() == one


def test_clips_are_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer never asks for a clip more than a batch ahead of what is on disk."""
    monkeypatch.setattr(feature_file, "_ROWS_AT_ONCE", 10)
    written_to: list[int] = []

    def clips() -> Iterator[ClipRows]:
        for index in itertools.count(3):
            if index == 203:
                return
            (part,) = tmp_path.glob(".x.parquet.*.part")
            written_to.append(part.stat().st_size)
            yield clip(index, 5)

    assert write_features(tmp_path / "x.parquet", clips(), about()) == 1000
    assert len(set(written_to)) > 50
    assert pq.read_metadata(tmp_path / "x.parquet").num_row_groups == 100


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path, "x.parquet", "none")
    killed = tmp_path / f".x.parquet.{2**22 + 5}-abc.part"
    killed.write_bytes(b"of a run that was killed")
    before = path.read_bytes()

    def clips() -> Iterator[ClipRows]:
        yield clip(0)
        raise WorkError("gone")

    with pytest.raises(WorkError, match="gone"):
        write_features(path, clips(), about())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_two_runs_may_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_file, "_ROWS_AT_ONCE", 1)  # so that the first clip is on disk
    path = tmp_path / "x.parquet"

    def clips(number: int) -> Iterator[ClipRows]:
        yield clip(number)
        if number == 1:  # the other run begins and ends while this one writes
            write_features(path, clips(2), about())
            assert pq.read_table(path)["clip"][0].as_py() == clip(2).clip

    write_features(path, clips(1), about())
    assert pq.read_table(path)["clip"][0].as_py() == clip(1).clip
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "pooling", "expected"),
    [
        ("x.txt", "max", "written as .parquet or .csv"),
        ("x.csv", "none", "choose --pooling max or mean"),
        ("x.csv", "median", "pooling is 'median'"),
        ("folder.csv", "max", "is a folder"),
        ("file/x.csv", "max", "can't be written to"),
    ],
)
def test_targets_that_cannot_be(tmp_path: Path, name: str, pooling: str, expected: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=expected):
        check_target(tmp_path / name, pooling)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mini-xception/1/0", f"specification mini-xception/1/0, this Mien makes {SPEC}"),
        ("mini-xception/99/1", "must not be mixed; extract them again"),
        ("resnet/1/1", "of the unknown specification 'resnet/1/1'; this Mien knows"),
        ("openface-au/0", f"this Mien makes {OPENFACE_SPEC}"),
        ("x" * 5000, "unknown specification 'xxx"),
    ],
)
@pytest.mark.parametrize(("name", "pooling"), [("x.parquet", "none"), ("x.csv", "max")])
def test_features_of_another_version_are_refused(
    tmp_path: Path, name: str, pooling: str, spec: str, expected: str
) -> None:
    path = written(tmp_path, name, pooling, spec=spec)
    with pytest.raises(UsageError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 500


def test_features_that_were_imported_or_made_with_own_weights(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, "x.csv", "mean", spec=OPENFACE_SPEC)).features == (
        f"{OPENFACE_SPEC}/mean"
    )
    own = SPEC.replace("mini-xception", "mini-xception+0123456789ab")
    assert read_table(written(tmp_path, "x.parquet", "none", spec=own)).features == own


def test_a_mixed_csv_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "x.csv", "max")
    lines = path.read_text().splitlines()
    for old, new, expected in (
        (SPEC, OPENFACE_SPEC, "several specifications"),
        (f",{SPEC},", ",,", "column 'mien_spec' is empty"),
        (",max,", ",mean,", "pooled in several ways"),
    ):
        path.write_text("\n".join([*lines[:-1], lines[-1].replace(old, new)]))
        with pytest.raises(UsageError, match=expected):
            read_table(path)


def columns(**changes: Any) -> Mapping[str, Any]:
    plain = {
        "clip": ["a", "b", "c"],
        "user": ["u", "u", "v"],
        "expression": ["happy", "sad", "happy"],
        "x": [1.0, 2.0, 3.0],
        "y": [4, 5, 6],
    }
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def foreign(folder: Path, values: Mapping[str, Any], metadata: Any = None) -> Path:
    pq.write_table(pa.table(dict(values)).replace_schema_metadata(metadata), folder / "t.parquet")
    return folder / "t.parquet"


def test_a_table_of_another_program(tmp_path: Path) -> None:
    found = read_table(foreign(tmp_path, columns()))
    assert found.clips.frames.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert found.features.startswith("table/")
    csv = tmp_path / "t.csv"
    csv.write_text("clip,user,expression,x,y\na,u,happy,1,4\nb,u,sad,2,5\nc,v,happy,3,6\n")
    assert read_table(csv).features == found.features
    renamed = (tmp_path / "t.parquet").rename(tmp_path / "t.table")
    assert read_table(renamed).clips.names == ("a", "b", "c")


BAD = {
    "one user": (columns(user=["u"] * 3), "names one user only"),
    "one expression": (columns(expression=["sad"] * 3), "every row has the expression 'sad'"),
    "no clip": (columns(clip=None), "row 1 has no column 'clip'"),
    "no user": (columns(user=None), "has no column 'user'"),
    "nan": (columns(x=[1, float("nan"), 3]), "row 2, column 'x': nan is not a finite"),
    "null": (columns(y=[1, 2, None]), "row 3, column 'y': nan is not a finite"),
    "large": (columns(x=[1, 2, -1e31]), "row 3, column 'x': -1e+31 is not a finite"),
    "text": (columns(x=["1", "2", "3"]), "column 'x' is of type 'string', not of numbers"),
    "annotation": (columns(label=[1, 2, 3]), "has a column 'label', which says what"),
    "expression": (columns(expression=["happy", "bored", "sad"]), "row 2, column 'expression'"),
    "apart": (columns(clip=["a", "b", "a"]), "row 3, column 'clip': 'a' is also in row 1"),
    "two users of a clip": (columns(clip=["a", "b", "b"]), "row 3, column 'clip': 'b' is also"),
    "empty name": (columns(clip=["a", " ", "b"]), "row 2, column 'clip': is empty"),
    "null name": (columns(user=["u", None, "v"]), "row 2, column 'user': is empty"),
    "numbers as names": (columns(clip=[1, 2, 3]), "column 'clip' is of type int64"),
    "lists of any length": (columns(x=None, y=None, features=[[1.0]] * 3), "lists of one length"),
    "no rows": (columns(**{n: pa.array(v)[:0] for n, v in columns().items()}), "a header but no"),
    "no features": (columns(x=None, y=None), "names no feature column"),
}


@pytest.mark.parametrize(("values", "expected"), BAD.values(), ids=list(BAD))
def test_a_bad_table_is_told_in_one_sentence(
    tmp_path: Path, values: Mapping[str, Any], expected: str
) -> None:
    path = foreign(tmp_path, values)
    with pytest.raises(UsageError) as caught:
        read_table(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert expected in text
    assert "\n" not in text


@pytest.mark.parametrize("metadata", ["{", "[]", "{}", '{"spec": 1}'])
def test_metadata_that_cannot_be_read(tmp_path: Path, metadata: str) -> None:
    path = foreign(tmp_path, columns(), {"mien": metadata})
    with pytest.raises(UsageError, match=r"of its own making can't be read"):
        read_table(path)


def test_missing_lists_and_numbers_in_lists(tmp_path: Path) -> None:
    kind = pa.list_(pa.float32(), 2)
    for value in (None, [1.0, None]):
        lists = pa.array([[1.0, 2.0], value, [3.0, 4.0]], kind)
        path = foreign(tmp_path, columns(x=None, y=None, features=lists))
        with pytest.raises(UsageError, match="row 2, column 'features': nan"):
            read_table(path)


def test_promises_of_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = foreign(tmp_path, columns())
    monkeypatch.setattr(parquet_table, "MOST_VALUES", 5)
    with pytest.raises(UsageError, match="3 rows of 2 features, more than 5 numbers"):
        read_table(path)


def test_clips_go_on_from_batch_to_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "_BATCH", 2)
    assert read_table(written(tmp_path, "x.parquet", "none")).clips.lengths.tolist() == [3, 1, 5]


@given(place=st.integers(0, 20_000), change=st.integers(0, 255), cut=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_ends_in_a_table_or_a_sentence(
    tmp_path: Path, place: int, change: int, cut: bool
) -> None:
    path = written(tmp_path, "x.parquet", "none")
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place] ^= change
    path.write_bytes(content[:place] if cut else content)
    try:
        found = read_table(path)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        expected = np.concatenate([clip(i, n).features for i, n in enumerate((3, 1, 5))])
        assert np.array_equal(found.clips.frames, expected)
        assert found.clips.labels.tolist() == [2, 3, 2]

"""OpenFace's CSV files: the right rows and columns, and a reason for every other file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.video.decode import ClipError, Reason
from simulations.data.cache import StoredClip
from simulations.data.openface import COLUMNS, OpenFaceExtractor, read_openface
from simulations.data.provenance import OPENFACE_SPEC
from simulations.data.unusable import Unusable

OTHERS = ("timestamp", "gaze_0_x", "pose_Tx")
HEADER = ("frame", "face_id", OTHERS[0], "confidence", "success", *OTHERS[1:], *COLUMNS)


def row(
    frame: int, level: float, *, face: int = 0, confidence: float = 0.98, success: int = 1
) -> str:
    """OpenFace puts a space behind each comma."""
    units = [f"{level + i / 100:.2f}" for i in range(17)] + [
        str((frame + i) % 2) for i in range(18)
    ]
    start = (frame, face, f"{frame / 30:.3f}", confidence, success, "-nan", -9.5)
    return ", ".join(str(cell) for cell in (*start, *units))


def table(folder: Path, rows: Sequence[str], header: Sequence[str] = HEADER) -> Path:
    path = folder / "clip.csv"
    path.write_text("\n".join([", ".join(header), *rows, ""]))
    return path


def reason(path: Path) -> str:
    with pytest.raises((ClipError, Unusable)) as caught:
        read_openface(path)
    error = caught.value
    return error.reason.value if isinstance(error, ClipError) else f"{error.reason}: {error.detail}"


def test_rows_that_succeeded_are_the_features(tmp_path: Path) -> None:
    rows = [
        row(1, 0.5),
        row(2, 1.0, confidence=0.79),
        row(3, 1.5, success=0),
        row(4, 2.0, confidence=0.8),
        row(5, 2.5),
    ]
    found = read_openface(table(tmp_path, rows))
    assert found.numbers.tolist() == [1, 4, 5]
    assert found.clip.features.shape == (3, 35)
    np.testing.assert_allclose(found.clip.features[:, 0], [0.5, 2.0, 2.5])
    np.testing.assert_allclose(found.clip.features[0, :17], 0.5 + np.arange(17) / 100, rtol=1e-6)
    assert found.clip.features[0, 17:].tolist() == [(1 + i) % 2 for i in range(18)]
    assert (found.clip.decoded, found.clip.several_faces) == (5, 0)
    assert found.clip.spec == OPENFACE_SPEC


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    plain = read_openface(table(tmp_path, [row(1, 0.5)]))
    order = np.random.default_rng(0).permutation(len(HEADER))
    cells = row(1, 0.5).split(", ")
    shuffled = [",".join(cells[i] for i in order)]
    path = table(tmp_path, shuffled, [HEADER[i] for i in order])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert np.array_equal(read_openface(path).clip.features, plain.clip.features)


def test_the_face_with_the_most_usable_rows_is_the_clip_s(tmp_path: Path) -> None:
    rows = [
        *(row(i, 1, face=0, success=int(i < 3)) for i in range(1, 6)),
        *(row(i, 2, face=1) for i in range(2, 6)),
        *(row(i, 3, face=2) for i in range(2, 6)),
    ]
    found = read_openface(table(tmp_path, rows))
    assert found.clip.features[:, 0].tolist() == [2] * 4
    assert (found.clip.decoded, found.clip.with_face, found.clip.several_faces) == (5, 4, 4)


def test_a_file_of_one_face_has_no_face_id(tmp_path: Path) -> None:
    place = HEADER.index("face_id")
    cells = row(7, 0.5).split(", ")
    path = table(
        tmp_path,
        [", ".join(cells[:place] + cells[place + 1 :])],
        [*HEADER[:place], *HEADER[place + 1 :]],
    )
    assert read_openface(path).numbers.tolist() == [7]


BAD: dict[str, tuple[list[str], Sequence[str], str]] = {
    "no rows": ([], HEADER, "no_frames"),
    "no usable row": ([row(1, 0.5, success=0)], HEADER, "no_usable_row"),
    "no action units": ([], HEADER[:5], "missing_columns: it has no column AU01_r, AU02_r, AU04_r"),
    "one column missing": ([], HEADER[:-1], "missing_columns: it has no column AU45_c;"),
    "short row": ([row(1, 0.5)[:-9]], HEADER, "malformed: row 2 has"),
    "text": ([row(1, 0.5), row(2, 0.5).replace("0.51", "x")], HEADER, "malformed: row 3 holds"),
    "not a number": ([row(1, 0.5).replace("0.51", "nan")], HEADER, "malformed: row 2 holds"),
    "infinite": ([row(1, 0.5).replace("0.51", "inf")], HEADER, "malformed: row 2 holds"),
    "out of range": ([row(1, 4.99)], HEADER, "malformed: row 2 holds a frame or action unit out"),
    "a frame twice": ([row(1, 0.5), row(1, 0.6)], HEADER, "malformed: row 3 repeats frame 1"),
    "huge frame": ([row(2**31, 0.5)], HEADER, "malformed: row 2 holds a frame or action unit out"),
    "open quote": (['"' + row(1, 0.5)], HEADER, "malformed: it is no CSV text"),
    "zero byte": ([row(1, 0.5) + "\0"], HEADER, "malformed: it is no CSV text"),
}


@pytest.mark.parametrize(("rows", "header", "expected"), BAD.values(), ids=list(BAD))
def test_other_files_have_a_reason(
    tmp_path: Path, rows: list[str], header: Sequence[str], expected: str
) -> None:
    assert reason(table(tmp_path, rows, header)).startswith(expected)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "empty.csv").touch()
    assert reason(tmp_path / "pipe.csv") == Reason.NOT_A_FILE
    assert reason(tmp_path / "gone.csv") == Reason.MISSING
    assert reason(tmp_path / "binary.csv").startswith("malformed: it is no CSV text")
    assert reason(tmp_path / "empty.csv").startswith("missing_columns")


@given(place=st.integers(0, 10_000), junk=st.text(max_size=4))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_damaged_place_never_crashes(tmp_path: Path, place: int, junk: str) -> None:
    path = table(tmp_path, [row(1, 0.5), row(2, 1.0)])
    text = path.read_text()
    place %= len(text)
    path.write_text(text[:place] + junk + text[place + 1 :], errors="replace")
    try:
        found: StoredClip | None = read_openface(path)
    except (ClipError, Unusable):
        found = None
    assert found is None or 0 <= found.clip.features.min() <= found.clip.features.max() <= 5


def test_the_extractor_reads_all_frames() -> None:
    one = OpenFaceExtractor()
    assert (one.spec, one.every, one.max_frames) == (OPENFACE_SPEC, 1, None)
    assert one.open() is read_openface

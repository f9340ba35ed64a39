"""Feature tables: good ones of any shape, and one sentence for each bad one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from simulations.data.table import LONGEST_LINE, read_table
from tests.support import shared_data

HAPPY_1, SAD_1 = "01-01-03-01-01-01-01", "01-01-04-01-01-01-01"
HAPPY_2, SAD_2 = "01-01-03-01-01-02-02", "01-01-04-01-01-02-02"
RAVDESS = f"clip,fold,a,b\n{HAPPY_1},0,1,2\n{SAD_1},0,3,4\n{HAPPY_2},1,5,6\n{SAD_2},1,7,8e-1\n"
OWN = "clip,user,expression,a\nx1,anna,happy,1\nx2,anna,sad,2\ny1,ben,3,3\ny2,ben,4,4\n"


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "features.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def complaint(path: Path) -> str:
    """The one sentence that a bad table gives."""
    with pytest.raises(UsageError) as caught:
        read_table(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert len(text) < len(str(path)) + 400
    return text.removeprefix(f"{path}: ")


def test_a_ravdess_table(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, RAVDESS))
    assert found.clips.names == (HAPPY_1, SAD_1, HAPPY_2, SAD_2)
    assert found.clips.users == ("actor-01", "actor-01", "actor-02", "actor-02")
    assert found.clips.labels.tolist() == [2, 3, 2, 3]
    np.testing.assert_array_equal(
        found.clips.frames, np.array([[1, 2], [3, 4], [5, 6], [7, 0.8]], np.float32)
    )
    assert found.clips.lengths.tolist() == [1, 1, 1, 1]
    assert found.ravdess is not None
    assert [name.repetition for name in found.ravdess] == [1, 1, 2, 2]


def test_a_table_that_names_users_itself(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, OWN))
    assert found.ravdess is None
    assert found.clips.users == ("anna", "anna", "ben", "ben")
    assert found.clips.labels.tolist() == [2, 3, 2, 3]
    assert found.clips.dimension == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\n\n") + "\n\n",
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(",", " , "),
        lambda text: text.replace("fold", '"fold"').replace("1,2\n", '"1","2"\n'),
    ],
    ids=["crlf", "cr", "bom", "blank lines", "no last newline", "spaces", "quotes"],
)
@pytest.mark.parametrize("content", [RAVDESS, OWN])
def test_the_same_table_written_otherwise(tmp_path: Path, content: str, change: object) -> None:
    plain = read_table(table(tmp_path, content))
    assert callable(change)
    found = read_table(table(tmp_path, change(content)))
    assert found.clips.names == plain.clips.names
    assert found.clips.labels.tolist() == plain.clips.labels.tolist()
    np.testing.assert_array_equal(found.clips.frames, plain.clips.frames)
    assert found.features == plain.features


def test_names_of_files_are_names_of_clips(tmp_path: Path) -> None:
    content = RAVDESS.replace(HAPPY_1, f"{HAPPY_1}.mp4").replace(SAD_2, f"Actor_02/{SAD_2}.mp4")
    found = read_table(table(tmp_path, content))
    assert found.clips.users == ("actor-01", "actor-01", "actor-02", "actor-02")
    assert found.clips.names[0] == f"{HAPPY_1}.mp4"


def test_other_columns_are_other_features(tmp_path: Path) -> None:
    ids = {
        read_table(table(tmp_path, content)).features
        for content in (RAVDESS, RAVDESS.replace("a,b", "b,a"), RAVDESS.replace("a,b", "a,c"))
    }
    assert len(ids) == 3
    assert read_table(table(tmp_path, RAVDESS.replace("fold", "a0"))).features not in ids
    assert all(name.startswith("table/") for name in ids)


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty; the first row must name the columns, one being 'clip'"),
    "blank first line": ("\n" + RAVDESS, "is empty; the first row"),
    "header only": ("clip,a\n", "has a header but no rows"),
    "header and blanks": ("clip,a\n\n\n", "has a header but no rows"),
    "no clip column": (RAVDESS.replace("clip", "name"), "row 1 has no column 'clip'"),
    "no feature column": (f"clip,fold\n{HAPPY_1},0\n", "row 1 names no feature column"),
    "column twice": (RAVDESS.replace("a,b", "a,a"), "row 1 names column 'a' twice"),
    "long column twice": (RAVDESS.replace("a,b", ",".join(["z" * 999] * 2)), "row 1 names column"),
    "long column": (RAVDESS.replace("a,b", "a," + "z" * 999).replace("3,4", "3,x"), "row 3, col"),
    "user alone": (OWN.replace("expression", "mood"), "row 1 has no column 'expression'"),
    "expression alone": (OWN.replace("user", "who"), "row 1 has no column 'user'"),
    "nan": (RAVDESS.replace("3,4", "3,nan"), "row 3, column 'b': 'nan' is not a finite number"),
    "inf": (RAVDESS.replace("3,4", "-inf,4"), "row 3, column 'a': '-inf' is not a finite number"),
    "overflow": (RAVDESS.replace("3,4", "1e999,4"), "row 3, column 'a': '1e999' is not a finite"),
    "too large": (RAVDESS.replace("3,4", "1e31,4"), "row 3, column 'a': '1e31' is not a finite"),
    "empty cell": (RAVDESS.replace("3,4", ",4"), "row 3, column 'a': '' is not a finite number"),
    "text": (RAVDESS.replace("3,4", "x,4"), "row 3, column 'a': 'x' is not a finite number"),
    "underscore": (RAVDESS.replace("3,4", "1_0,4"), "row 3, column 'a': '1_0' is not a finite"),
    "hexadecimal": (RAVDESS.replace("3,4", "0x1,4"), "row 3, column 'a': '0x1' is not a finite"),
    "long cell": (RAVDESS.replace("3,4", "x" * 9999 + ",4"), "row 3, column 'a': 'xxxx"),
    "duplicate": (
        RAVDESS.replace(SAD_2, HAPPY_1),
        f"row 5, column 'clip': '{HAPPY_1}' is also in row 2",
    ),
    "duplicate in own": (OWN.replace("y2", "x1"), "row 5, column 'clip': 'x1' is also in row 2"),
    "no ravdess name": (
        RAVDESS.replace(SAD_1, "smile"),
        "row 3, column 'clip': 'smile' is not a RAVDESS name",
    ),
    "long name": (
        RAVDESS.replace(SAD_1, "z" * 9999),
        "row 3, column 'clip': 'zzzz",
    ),
    "long name twice": (
        OWN.replace("x2", "z" * 9999).replace("y2", "z" * 9999),
        "row 5, column 'clip': 'zzzz",
    ),
    "unknown code": (
        RAVDESS.replace(SAD_1, "01-01-09-01-01-01-01"),
        "row 3, column 'clip': '01-01-09-01-01-01-01' has expression 09, expected 01 to 08",
    ),
    "unknown actor": (
        RAVDESS.replace(SAD_1, "01-01-04-01-01-01-25"),
        "row 3, column 'clip': '01-01-04-01-01-01-25' has actor 25",
    ),
    "unknown expression": (
        OWN.replace("sad", "bored"),
        "row 3, column 'expression': 'bored' is none of neutral, calm",
    ),
    "expression 0": (OWN.replace("3,3", "0,3"), "row 4, column 'expression': '0' is none of"),
    "expression 9": (OWN.replace("3,3", "9,3"), "row 4, column 'expression': '9' is none of"),
    "expression ³": (OWN.replace("3,3", "³,3"), "row 4, column 'expression': '³' is none of"),
    "huge expression": (
        OWN.replace("3,3", "9" * 5000 + ",3"),
        "row 4, column 'expression': '9999",
    ),
    "no expression": (OWN.replace("sad", ""), "row 3, column 'expression': '' is none of"),
    "no user": (OWN.replace("x2,anna", "x2,"), "row 3, column 'user': is empty"),
    "no clip": (OWN.replace("x2,anna", " ,anna"), "row 3, column 'clip': is empty"),
    "no ravdess clip": (RAVDESS.replace(SAD_1, ""), "row 3, column 'clip': '' is not a RAVDESS"),
    "short row": (RAVDESS.replace("3,4", "3"), "row 3 has 3 cells, the header has 4"),
    "long row": (RAVDESS.replace("3,4", "3,4,5"), "row 3 has 5 cells, the header has 4"),
    "blank with a space": (RAVDESS.replace("3,4\n", "3,4\n \n"), "row 4 has 1 cells"),
    "one actor": (
        RAVDESS.replace("-02-02,1", "-02-01,1"),
        "column 'clip' names one user only ('actor-01')",
    ),
    "one user": (OWN.replace("ben", "anna"), "column 'user' names one user only ('anna')"),
    "one user of two lines": (
        OWN.replace("ben", "anna").replace("anna", '"an\nna"'),
        r"column 'user' names one user only ('an\nna')",
    ),
    "one expression": (
        OWN.replace("sad", "happy").replace("4,4", "3,4"),
        "every row has the expression 'happy'",
    ),
    "quote inside": (RAVDESS.replace("3,4", '"3"x,4'), "row 3 is not CSV"),
    "quote not closed": (RAVDESS.replace("3,4", '"3,4'), "row 3 is not CSV"),
    "header quote not closed": ('"clip,a\n1,2\n', "row 1 is not CSV"),
    "header of two lines": ('"a\nb",fold\n1,2\n', "row 1 has no column 'clip'"),
    "huge cell": (RAVDESS.replace("3,4", "3," + "4" * 200_000), "row 3 is not CSV"),
    "zero byte": (RAVDESS.replace("3,4", "3,\0"), "row 3 holds a zero byte"),
    "latin-1": (RAVDESS.encode().replace(b"3,4", b"3,\xe9"), "is not UTF-8 text"),
    "utf-16": (RAVDESS.encode("utf-16"), "is not UTF-8 text"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(range(256)), "is not UTF-8 text"),
    "image": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is not UTF-8 text"),
    "archive": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "row 1 holds a zero byte"),
}


@pytest.mark.parametrize(("content", "expected"), BAD.values(), ids=list(BAD))
def test_a_bad_table_is_told_in_one_sentence(
    tmp_path: Path, content: str | bytes, expected: str
) -> None:
    assert complaint(table(tmp_path, content)).startswith(expected)


def test_a_missing_file(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.csv").startswith("can't be read (No such file")


def test_a_folder(tmp_path: Path) -> None:
    assert complaint(tmp_path).startswith("can't be read (Is a directory)")


def test_a_folder_within_a_file(tmp_path: Path) -> None:
    path = table(tmp_path, RAVDESS)
    assert complaint(path / "more.csv").startswith("can't be read (Not a directory)")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = table(tmp_path, RAVDESS)
    path.chmod(0)
    assert complaint(path).startswith("can't be read (Permission denied)")


@pytest.mark.parametrize("row", [1, 2])
def test_a_line_that_is_too_long(tmp_path: Path, row: int) -> None:
    lines = ["clip,a", f"{HAPPY_1},1"]
    lines[row - 1] += "," + "1" * LONGEST_LINE
    path = table(tmp_path, "\n".join(lines))
    assert complaint(path).startswith(f"row {row} is longer than {LONGEST_LINE} characters")


READ_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from common.errors import UsageError
from simulations.data.table import read_table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_table(Path(sys.argv[1]))
except UsageError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_huge_line_is_not_read_into_memory(tmp_path: Path) -> None:
    """2 GB that are nothing but zeros: one line. Sparse, so it takes no room on disk."""
    path = table(tmp_path, "clip,a\n")
    os.truncate(path, 2 * 2**30)
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    told, kilobytes = done.stdout.splitlines()
    assert told.startswith(f"{path}: row 2 is longer than")
    assert int(kilobytes) < 100_000


texts = st.text(st.characters(codec="utf-8"), max_size=200)
cells = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(
    ["clip", "user", "expression", "fold", "a", "1", "3", "happy", HAPPY_1, SAD_2, '"', "\0", ""]
)
grids = st.lists(st.lists(cells, min_size=1, max_size=5).map(",".join), max_size=6).map("\n".join)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=texts | grids | st.binary(max_size=200))
def test_anything_is_a_table_or_told_in_one_sentence(tmp_path: Path, content: str | bytes) -> None:
    path = table(tmp_path, content)
    try:
        found = read_table(path)
    except UsageError:
        complaint(path)
        return
    assert len(found.clips) >= 2
    assert np.isfinite(found.clips.frames).all()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(position=st.integers(0, len(OWN) - 1), junk=cells)
def test_one_damaged_place_never_crashes(tmp_path: Path, position: int, junk: str) -> None:
    path = table(tmp_path, OWN[:position] + junk + OWN[position + 1 :])
    try:
        read_table(path)
    except UsageError:
        complaint(path)


def test_the_real_table() -> None:
    data = shared_data()
    if data is None:
        pytest.skip("needs the real table ../shared/data/ravdess-openface-au.csv")
    found = read_table(data / "ravdess-openface-au.csv")
    assert len(found.clips) == 1440
    assert found.clips.dimension == 35
    assert len(found.clips.user_names()) == 24
    assert np.bincount(found.clips.labels).tolist() == [96] + [192] * 7


@pytest.mark.parametrize("name", ["emotion", "Label", "intensity", "actor"])
def test_an_annotation_is_no_feature(tmp_path: Path, name: str) -> None:
    """As a feature, a column that says what the clip shows would give the answer away."""
    path = tmp_path / "table.csv"
    path.write_text(f"clip,AU01,{name}\n01-01-01-01-01-01-01,0.1,1\n01-01-02-01-01-01-02,0.2,2\n")
    with pytest.raises(UsageError, match=f"row 1 has a column '{name}'"):
        read_table(path)


def test_ravdess_names_are_takes_even_beside_user_and_expression(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [
        "01-01-01-01-01-01-01,u1,neutral,1",
        "02-01-01-01-01-01-01,u1,neutral,1",
        "01-01-02-01-01-01-02,u2,calm,2",
    ]
    path.write_text("\n".join(["clip,user,expression,f", *rows]))
    found = read_table(path).ravdess
    assert found is not None
    assert found[0].take == found[1].take


def test_a_name_that_contradicts_the_expression_column(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "clip,user,expression,f\n01-01-01-01-01-01-01,u1,happy,1\n01-01-02-01-01-01-02,u2,calm,2\n"
    )
    with pytest.raises(UsageError, match="is neutral by its name, but column 'expression' says"):
        read_table(path)

"""The data sets' layouts, written as they are distributed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from simulations.expression_models.faces import DamagedImage, FaceSet, ImageArray, split_off
from simulations.expression_models.readers.find import open_faces
from tests.simulations.expression_models.toys import write_image


def rafdb(root: Path, lines: list[str] | None = None) -> Path:
    found = lines or [
        *(f"train_{i:05d}.jpg {1 + i % 7}" for i in range(1, 29)),
        *(f"test_{i:04d}.jpg {1 + i % 7}" for i in range(1, 8)),
    ]
    folder = root / "basic"
    for number, line in enumerate(found):
        stem = line.split(".")[0]
        write_image(folder / "Image/aligned" / f"{stem}_aligned.jpg", level=number)
    (folder / "EmoLabel").mkdir(parents=True)
    (folder / "EmoLabel/list_patition_label.txt").write_text("\n".join(found) + "\n")
    return root


def test_rafdb_as_downloaded(tmp_path: Path) -> None:
    data = open_faces(rafdb(tmp_path), validation=0.25)
    assert data.name == "RAF-DB"
    assert data.train.classes[0] == "surprise"
    assert data.train.classes[-1] == "neutral"
    sizes = {name: len(part) for name, part in data.parts().items()}
    assert sizes == {"train": 21, "validation": 7, "test": 7}
    assert data.test is not None
    assert data.test.image_name(0) == "Image/aligned/test_0001_aligned.jpg"
    assert int(data.test.labels[0]) == 1
    assert "25% of RAF-DB train" in data.validation_is


def test_rafdb_parts_share_no_image(tmp_path: Path) -> None:
    data = open_faces(rafdb(tmp_path), validation=0.25)
    names = [{p.image_name(i) for i in range(len(p))} for p in data.parts().values()]
    assert len(set.union(*names)) == sum(map(len, names)) == 35


def test_rafdb_names_the_line_that_is_wrong(tmp_path: Path) -> None:
    rafdb(tmp_path, ["train_00001.jpg 5", "train_00002.jpg 8"])
    with pytest.raises(UsageError, match=r"list_patition_label.txt: line 2 is 'train_00002.jpg 8'"):
        open_faces(tmp_path)


def affectnet(root: Path) -> Path:
    for part, count in (("train_set", 24), ("val_set", 8)):
        (root / part / "annotations").mkdir(parents=True)
        for number in range(count):
            write_image(root / part / "images" / f"{number}.jpg")
            np.save(root / part / "annotations" / f"{number}_exp.npy", np.array(str(number % 8)))
    return root


def test_affectnet_as_distributed(tmp_path: Path) -> None:
    data = open_faces(affectnet(tmp_path), validation=0.3)
    assert data.train.classes[:2] == ("neutral", "happiness")
    assert [len(part) for part in data.parts().values()] == [16, 8, 8]
    assert data.test is not None
    assert data.test.labels.tolist() == list(range(8))


def test_affectnet_with_seven_classes_counts_what_it_leaves_out(tmp_path: Path) -> None:
    data = open_faces(affectnet(tmp_path), contempt=False)
    assert "contempt" not in data.train.classes
    assert data.left_out == {"contempt": 4}


def test_affectnet_never_unpickles(tmp_path: Path) -> None:
    affectnet(tmp_path)
    bad = tmp_path / "train_set/annotations/3_exp.npy"
    np.save(bad, np.array([{"label": 3}], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"3_exp.npy: is no NumPy file without pickled objects"):
        open_faces(tmp_path)


def fer_row(emotion: int, usage: str, levels: int = 2304) -> str:
    return f"{emotion},{' '.join(['7'] * levels)},{usage}"


def test_fer2013_keeps_the_published_parts(tmp_path: Path) -> None:
    usages = ("Training", "PublicTest", "PrivateTest")
    rows = [fer_row(e, u) for u in usages for e in (0, 3, 6)]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *rows, fer_row(1, "Training", 2303)]))
    data = open_faces(path)
    assert [part.labels.tolist() for part in data.parts().values()] == [[0, 3, 6]] * 3
    assert data.train.image(0).shape == (48, 48, 3)
    assert data.left_out == {"damaged rows": 1}
    assert data.validation_is == "PublicTest, as published"
    assert open_faces(tmp_path).name == "FER2013"


def test_fer2013_names_the_row_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", fer_row(0, "Training"), fer_row(9, "Test")]))
    with pytest.raises(UsageError, match="row 3 has emotion '9' and Usage 'Test'"):
        open_faces(path)


def tree(root: Path, parts: tuple[str, ...], per_class: int = 10) -> Path:
    for part in parts:
        for name in ("Happy", "neutral"):
            for number in range(per_class):
                write_image(root / part / name / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        ((".",), [14, 2, 4]),
        (("train",), [18, 2]),
        (("train", "test"), [18, 2, 20]),
        (("train", "val", "test"), [20, 20, 20]),
    ],
)
def test_folders_with_and_without_parts(
    tmp_path: Path, parts: tuple[str, ...], sizes: list[int]
) -> None:
    data = open_faces(tree(tmp_path, parts))
    assert data.train.classes == ("happiness", "neutral")
    assert [len(part) for part in data.parts().values()] == sizes


def test_folders_refuse_a_class_that_training_lacks(tmp_path: Path) -> None:
    tree(tmp_path, ("train", "test"))
    write_image(tmp_path / "test/fear/1.png")
    with pytest.raises(UsageError, match="test/fear: there is no training folder of this name"):
        open_faces(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "."])
def test_what_is_no_data_set_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"there is no such|expected a folder of images"):
        open_faces(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes) -> None:
    tree(tmp_path, ("train",))
    (tmp_path / "train/Happy/0.png").write_bytes(content)
    data = open_faces(tmp_path, seed=1)
    found = []
    for part in data.parts().values():
        for index in range(len(part)):
            try:
                part.image(index)
            except DamagedImage as error:
                found.append(str(error))
    assert len(found) == 1
    assert found[0].startswith("Happy/0.png: can't be decoded")


@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=5),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 9),
)
@settings(max_examples=20, deadline=None)
def test_a_split_takes_of_each_class_and_loses_nothing(
    counts: list[int], share: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    source = ImageArray(np.zeros((len(labels), 8, 8, 3), np.uint8))
    faces = FaceSet("all", tuple(map(str, range(len(counts)))), labels, source)
    left, off, _ = split_off(faces, share, seed=seed, purpose="validation")
    names = [part.image_name(i) for part in (left, off) for i in range(len(part))]
    assert sorted(names) == sorted(faces.image_name(i) for i in range(len(faces)))
    assert left.counts().min() >= 1
    for total, taken in zip(counts, off.counts().tolist(), strict=True):
        assert taken >= 1
        assert abs(taken - share * total) <= 1


def test_another_seed_takes_others_and_the_same_seed_the_same(tmp_path: Path) -> None:
    def names(seed: int) -> list[str]:
        part = open_faces(tmp_path, seed=seed).validation
        return [part.image_name(i) for i in range(len(part))]

    tree(tmp_path, ("train",))
    assert names(0) == names(0)
    assert len({tuple(names(seed)) for seed in range(4)}) > 1

"""Generators from files: the same picture from ONNX and TorchScript, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from client.avatar.sources.description import FORMAT, read_description
from client.avatar.sources.generator import Generator, load_generator, squared
from common.errors import MienError, UsageError, WorkError
from common.randomness import generator
from tests.client.avatar.networks import (
    SIZE,
    described,
    digest,
    plain_onnx,
    toy_onnx,
    toy_result,
    toy_torchscript,
)

FLAT = np.full(8, 0.125)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All networks, exported once."""
    path = tmp_path_factory.mktemp("networks")
    for make in (toy_onnx, toy_torchscript, plain_onnx):
        make(path)
    return path


@pytest.fixture
def face() -> np.ndarray:
    return generator(0, "face").integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


def loaded(path: Path, **options: Any) -> Generator:
    trust = digest(path) if path.suffix == ".pt" else ""
    return load_generator(path, trust=trust, **options)


@pytest.mark.parametrize("name", ["toy.onnx", "script.pt"])
@pytest.mark.parametrize("weights", [(0.225, 0.1), (0.0, 1.0), (0.4, 0.8)])
def test_both_formats_draw_what_the_network_says(
    folder: Path, face: np.ndarray, name: str, weights: tuple[float, float]
) -> None:
    structure, colour = weights
    source = loaded(folder / name, structure=structure, colour=colour)
    levels = face.transpose(2, 0, 1)[None] / 127.5 - 1
    expected = (toy_result(levels, structure, colour)[0].transpose(1, 2, 0) + 1) * 127.5
    found = source.draw(face, FLAT)
    assert found.dtype == np.uint8
    assert np.abs(found - np.clip(expected, 0, 255)).max() <= 0.51


def test_weights_are_the_descriptions_own_until_others_are_given(folder: Path) -> None:
    source = loaded(folder / "toy.onnx")
    assert (source.structure, source.colour) == (0.225, 0.1)
    other = source.weighted(colour=0.8)
    assert (other.structure, other.colour) == (0.225, 0.8)
    assert other.digest != source.digest
    assert "S = 0.225" in other.name


def test_a_generator_without_weights_has_none(folder: Path, face: np.ndarray) -> None:
    source = load_generator(folder / "plain.onnx")
    np.testing.assert_array_equal(source.picture(face), 255 - face)
    with pytest.raises(UsageError, match="has no structure weight"):
        source.weighted(structure=0.2)


def test_scalar_weights_and_an_encoder(folder: Path, tmp_path: Path, face: np.ndarray) -> None:
    """S as a number of its own; the encoder's code takes the image's place."""
    shape = [1, 3, SIZE, SIZE]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["code", "s"], ["avatar"])],
        "scaled",
        [
            helper.make_tensor_value_info("code", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("avatar", TensorProto.FLOAT, shape)],
    )
    path = save(graph, tmp_path / "scaled.onnx")
    encoder = plain_of(tmp_path / "encoder.onnx", shape)
    inputs = [
        {"name": "code", "gives": "image"},
        {"name": "s", "gives": "structure", "shape": []},
    ]
    pinned = {"file": encoder.name, "sha256": digest(encoder)}
    described(path, inputs=inputs, encoder=pinned, structure=0.5, colour=None)
    found = load_generator(path).picture(face)
    np.testing.assert_allclose(found, 127.5 - (face - 127.5) / 2, atol=0.51)


def plain_of(path: Path, shape: list[int]) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Neg", ["code"], ["turned"])],
        "turned",
        [helper.make_tensor_value_info("code", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("turned", TensorProto.FLOAT, shape)],
    )
    return save(graph, path)


def save(graph: onnx.GraphProto, path: Path, domain: str = "") -> Path:
    opsets = [helper.make_opsetid("", 13)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_torchscript_needs_the_users_own_word(folder: Path) -> None:
    path = folder / "script.pt"
    for trust in ("", "0" * 64, digest(folder / "toy.onnx")):
        with pytest.raises(UsageError, match="--trust"):
            load_generator(path, trust=trust)
    load_generator(path, trust=f"{'0' * 64},{digest(path).upper()}")


@pytest.mark.parametrize("name", ["toy.onnx", "script.pt", "style.safetensors"])
def test_another_file_than_described_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    for each in folder.iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    (tmp_path / name).write_bytes((folder / name).read_bytes() + b"\0")
    generator_name = name if name != "style.safetensors" else "toy.onnx"
    with pytest.raises(UsageError, match=r"its SHA-256 is .*description says"):
        load_generator(tmp_path / generator_name, trust=digest(folder / "script.pt"))


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    """ONNX Runtime would read them from wherever the graph says, unchecked."""
    (tmp_path / "passwords").write_bytes(bytes(12 * SIZE * SIZE))
    tensor = numpy_helper.from_array(np.zeros((1, 3, SIZE, SIZE), np.float32), "secret")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="passwords")
    shape = [1, 3, SIZE, SIZE]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "secret"], ["avatar"])],
        "reader",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("avatar", TensorProto.FLOAT, shape)],
        [tensor],
    )
    path = save(graph, tmp_path / "reader.onnx")
    inputs = [{"name": "image", "gives": "image"}]
    described(path, inputs=inputs, structure=None, colour=None)
    with pytest.raises(WorkError, match="keeps weights in other files"):
        load_generator(path)


def test_foreign_operators_are_refused(tmp_path: Path) -> None:
    shape = [1, 3, SIZE, SIZE]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Run", ["image"], ["avatar"], domain="evil.ops")],
        "foreign",
        [value("image", TensorProto.FLOAT, shape)],
        [value("avatar", TensorProto.FLOAT, shape)],
    )
    path = save(graph, tmp_path / "foreign.onnx", "evil.ops")
    described(path, inputs=[{"name": "image", "gives": "image"}], structure=None, colour=None)
    with pytest.raises(WorkError, match=r"operators of 'evil\.ops'"):
        load_generator(path)


def test_inputs_that_the_network_does_not_have_are_named(folder: Path, face: np.ndarray) -> None:
    path = folder / "renamed.onnx"
    path.write_bytes((folder / "plain.onnx").read_bytes())
    described(path, inputs=[{"name": "photo", "gives": "image"}], structure=None, colour=None)
    with pytest.raises(WorkError, match=r"takes the inputs \['image'\].*'photo'"):
        load_generator(path).picture(face)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "format is 'other'"),
        ({"size": 5}, "size is 5"),
        ({"size": True}, "size is True"),
        ({"sha256": "abc"}, "sha256 is 'abc'"),
        ({"range": [1, -1]}, "range is"),
        ({"range": [0, float("inf")]}, "range is"),
        ({"inputs": []}, "inputs are no list"),
        ({"inputs": [{"name": "x", "gives": "sound"}]}, "gives 'sound'"),
        ({"inputs": [{"name": "x", "gives": "image", "file": "y"}]}, "'file'"),
        ({"structure": 1.5}, "structure is 1.5"),
        ({"colour": None}, "colour is missing"),
        ({"more": 1}, "'more'"),
        ({"encoder": {"file": "../x.onnx", "sha256": "0" * 64}}, "name of a file beside it"),
        ({"name": "a\nb"}, "name is"),
        ({"output": 3}, "output is no JSON object"),
    ],
)
def test_a_wrong_description_gets_one_sentence(
    folder: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "toy.onnx"
    path.write_bytes((folder / "toy.onnx").read_bytes())
    described(path, **change)
    with pytest.raises(UsageError) as told:
        read_description(path)
    assert said in str(told.value)
    assert str(path.with_suffix(".json")) in str(told.value)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"format": 1}', "[" * 100_000])
def test_no_description_at_all(tmp_path: Path, content: str) -> None:
    path = tmp_path / "toy.onnx"
    with pytest.raises(UsageError, match="needs this description beside it"):
        read_description(path)
    path.with_suffix(".json").write_text(content)
    with pytest.raises(UsageError, match=r"toy\.json"):
        read_description(path)


@pytest.mark.parametrize("ending", [".onnx", ".pt"])
def test_junk_is_no_network(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"junk{ending}"
    path.write_bytes(b"PK\x03\x04 this is nothing")
    described(path)
    with pytest.raises(MienError, match="junk"):
        load_generator(path, trust=digest(path))


def test_what_is_no_picture_is_refused(folder: Path, face: np.ndarray) -> None:
    source = load_generator(folder / "plain.onnx")
    with pytest.raises(UsageError, match="expected an RGB picture"):
        source.picture(face[..., 0])
    with pytest.raises(UsageError, match="probabilities"):
        source.draw(face, np.full(8, np.nan))


def test_the_middle_square_is_taken() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert (squared(wide, 10) == 200).all()


def test_the_format_is_documented() -> None:
    """The example in the module's docstring is a description."""
    from client.avatar.sources import description

    text = str(description.__doc__)
    example = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert example["format"] == FORMAT
    assert example["structure"] == 0.225

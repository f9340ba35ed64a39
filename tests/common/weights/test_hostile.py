"""Files made to harm: each is refused in one sentence, and nothing in it is run."""

from __future__ import annotations

import builtins
import functools
import importlib
import io
import operator
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from common.errors import WorkError
from common.weights.pickles import PickleReader, Refused
from common.weights.tensors import read_state_dict
from tests.common.weights.archived import (
    called,
    named,
    rezipped,
    state,
    stated,
    storage,
    tensor,
    zipped,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that hostile content would make if it were run."""
    return tmp_path / "was-run"


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def hostile(marker: Path) -> dict[str, object]:
    """Values whose unpickling makes the marker, or would reach for what can."""
    touch = f"touch {marker}"
    make = f"open({str(marker)!r}, 'w').close()"
    loaded = io.BytesIO()
    torch.save(Call(os.system, touch), loaded)
    return {
        "posix.system": Call(os.system, touch),
        "builtin__.eval": Call(builtins.eval, make),
        "builtin__.exec": Call(builtins.exec, make),
        "builtin__.getattr": Call(builtins.getattr, Call(importlib.import_module, "os"), "system"),
        "importlib.import_module": {"a": Call(importlib.import_module, "os")},
        "operator.attrgetter": Call(operator.attrgetter, "system"),
        "functools.partial": functools.partial(os.system, touch),
        "torch.storage._load_from_bytes": Call(torch.storage._load_from_bytes, loaded.getvalue()),
        "torch.serialization.load": Call(torch.load, str(marker)),
        "torch.hub.load": Call(torch.hub.load, str(marker), "x"),
        "numpy": np.ones(2),
        "pathlib.PosixPath": marker,
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", list(hostile(Path("x"))))
def test_calls_of_other_functions_are_refused(
    tmp_path: Path, marker: Path, name: str, legacy: bool
) -> None:
    value = {"weight": torch.ones(2), "extra": hostile(marker)[name]}
    path = tmp_path / "hostile.pt"
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WorkError) as told:
        read_state_dict(path)
    assert str(path) in str(told.value)
    assert name in str(told.value)
    assert not marker.exists()


def test_the_marker_shows_that_something_ran(marker: Path) -> None:
    """The control: Python's own machine does run them."""
    pickle.loads(pickle.dumps(hostile(marker)["posix.system"]))  # noqa: S301 - the point of it
    assert marker.exists()


GOOD = {"offset": 0, "size": (4, 4), "stride": (4, 1)}
LINEAR = named("torch.nn.modules.linear", "Linear")
ORDERED = named("collections", "OrderedDict")
PICKLES = {
    "class called": called("torch.nn.modules.linear", "Linear", 2, 2),
    "class made with arguments": b"\x80\x02" + LINEAR + stated((1, 2)) + b"\x81.",
    "class made with keywords": b"\x80\x04" + LINEAR + b")}\x92.",
    "class made by older operation": b"\x80\x02(" + LINEAR + b"o.",
    "class made by text": b"\x80\x02(itorch.nn.modules.linear\nLinear\n.",
    "state set on a class": b"\x80\x02" + LINEAR + b"}b.",
    "state set on a tensor": state(a=tensor(**GOOD) + b"}b"),
    "state with numbered names": b"\x80\x02" + LINEAR + b")\x81}K\x01K\x02sb.",
    "state that is a tuple": b"\x80\x02" + LINEAR + b")\x81N}\x86b.",
    "tensor called": b"\x80\x02" + tensor(**GOOD) + b")R.",
    "result called": b"\x80\x02" + ORDERED + b")R)R.",
    "dotted name": called("torch", "nn.Linear", 1),
    "text called": b"\x80\x02" + stated("os.system") + b")R.",
    "dictionary with items": called("collections", "OrderedDict", [("a", 1)]),
    "set of tuples": called("__builtin__", "set", [(1, 2)]),
    "tuple as key": b"\x80\x02}" + stated((1,)) + b"Ns.",
    "number as key": b"\x80\x02}K\x01Ns.",
    "parameter of text": called("torch._utils", "_rebuild_parameter", "x", True, {}),
    "parameter with hooks": b"\x80\x02"
    + named("torch._utils", "_rebuild_parameter")
    + b"("
    + tensor(**GOOD)
    + stated(True)
    + stated({"hook": 1})
    + b"tR.",
    "tensor of nothing": called("torch._utils", "_rebuild_tensor_v2"),
    "tensor of text": called("torch._utils", "_rebuild_tensor_v2", "x", 0, (1,), (1,)),
    "extension": b"\x80\x02\x82\x01.",
    "text as reference": b"\x80\x02Pname\n.",
    "unknown reference": b"\x80\x02" + stated(("storage", 1)) + b"Q.",
    "module that is a function": b"\x80\x02("
    + stated("module")
    + ORDERED
    + stated("file")
    + stated("source")
    + b"tQ.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "nothing": b"",
    "no end": b"\x80\x02N",
    "empty stack": b"\x80\x02.",
    "unknown operation": b"\x80\x02\xff.",
    "unknown memo": b"\x80\x02h\x07.",
    "no mark": b"\x80\x02u.",
    "text longer than the file": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "very long text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.",
    "bytes longer than the file": b"\x80\x03B\xff\xff\xff\x7fabc.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_unusual_pickles_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "hostile.pt", PICKLES[name])
    with pytest.raises(WorkError, match=r"hostile\.pt: not read, since its pickle"):
        read_state_dict(path)


def test_the_pickles_here_are_right_but_for_what_is_wrong(tmp_path: Path) -> None:
    """The control: the same helpers make files that are read."""
    found = read_state_dict(zipped(tmp_path / "good.pt", state(a=tensor(**GOOD))))
    expected = np.frombuffer(bytes(range(64)), np.float32).reshape(4, 4)
    assert found["a"].numpy().tobytes() == expected.tobytes()


TENSORS: dict[str, dict[str, Any]] = {
    "offset outside": {"offset": 1},
    "offset far outside": {"offset": 1 << 61},
    "negative offset": {"offset": -1},
    "empty, but outside": {"size": (0,), "stride": (1,), "offset": 17},
    "stride outside": {"stride": (5, 1)},
    "negative stride": {"stride": (-4, 1)},
    "negative size": {"size": (-4, 4)},
    "negative sizes": {"size": (-4, -4)},
    "size outside": {"size": (5, 4)},
    "terabytes out of one number": {"size": (1 << 40,), "stride": (0,)},
    "overflow": {"size": (1 << 32, 1 << 32), "stride": (0, 0)},
    "beyond any number": {"size": (1 << 70, 4)},
    "truth as a number": {"size": (True, 4)},
    "fraction": {"offset": 0.0},
    "text": {"size": ("4", 4)},
    "more sizes than strides": {"size": (4, 2, 2)},
    "too many dimensions": {"size": (1,) * 9, "stride": (1,) * 9},
    "list": {"size": [4, 4]},
    "storage too short": {"of": storage(15)},
    "storage too long": {"of": storage(17)},
    "storage of wrong type": {"of": storage(kind="DoubleStorage")},
    "storage of unknown type": {"of": storage(kind="QInt8Storage")},
    "huge storage": {"of": storage(1 << 60)},
    "negative storage": {"of": storage(-16)},
    "missing storage": {"of": storage(key="1")},
    "storage elsewhere": {"of": storage(key="../data.pkl")},
    "numbered storage": {"of": storage(key=0)},
    "no storage": {"of": stated([1.0] * 16)},
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_leave_their_storage_are_refused(tmp_path: Path, name: str) -> None:
    content = state(a=tensor(**(GOOD | TENSORS[name])))
    with pytest.raises(WorkError, match=r"hostile\.pt: not read, since it"):
        read_state_dict(zipped(tmp_path / "hostile.pt", content))


def test_a_storage_is_declared_in_one_way(tmp_path: Path) -> None:
    halves = tensor(offset=0, size=(4,), stride=(1,), of=storage(32, kind="HalfStorage"))
    content = state(a=tensor(**GOOD), b=halves)
    with pytest.raises(WorkError, match="two ways"):
        read_state_dict(zipped(tmp_path / "hostile.pt", content))


def test_endless_work_is_cut_off() -> None:
    """Few bytes, many steps: a long state set on an object again and again."""
    attributes = stated({f"a{number}": None for number in range(1000)})
    again = b"\x80\x02" + LINEAR + b")\x81q\x00" + attributes + b"r\xff\xff\x00\x00b"
    content = again + b"j\xff\xff\x00\x00b" * 2500 + b"."
    from common.weights.pickles import StandIn

    with pytest.raises(Refused, match="steps"):
        PickleReader(lambda module, name: StandIn(name)).read(io.BytesIO(content))


def test_long_names_are_cut_in_sentences(tmp_path: Path) -> None:
    path = zipped(tmp_path / "hostile.pt", called("os", "x" * 100_000))
    with pytest.raises(WorkError) as told:
        read_state_dict(path)
    assert len(str(told.value)) < 1000


def nested(levels: int, *, twice: bool) -> nn.Module:
    inner = nn.Sequential()
    for _ in range(levels):
        outer = nn.Sequential()
        outer._modules["0"] = inner
        if twice:
            outer._modules["1"] = inner
        inner = outer
    return inner


def test_endless_networks_are_refused(tmp_path: Path) -> None:
    itself = nn.Sequential()
    itself._modules["0"] = itself
    for network, reason in (
        (itself, "deep"),
        (nested(70, twice=False), "deep"),
        (nested(60, twice=True), "parts"),
    ):
        torch.save(network, tmp_path / "network.pt")
        with pytest.raises(WorkError, match=reason):
            read_state_dict(tmp_path / "network.pt")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("_parameters", None),
        ("_parameters", {"a": 1}),
        ("_buffers", {"a": {}}),
        ("_modules", {"a": torch.ones(1)}),
        ("_modules", [1]),
        ("_parameters", {"a" * 300: torch.ones(1)}),
    ],
)
def test_networks_with_odd_parts_are_refused(tmp_path: Path, attribute: str, value: object) -> None:
    network = nn.Sequential()
    network.__dict__[attribute] = value
    torch.save(network, tmp_path / "network.pt")
    with pytest.raises(WorkError, match=r"container\.Sequential has"):
        read_state_dict(tmp_path / "network.pt")


def test_unknown_layers_are_refused_by_name(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(1, 1)), tmp_path / "network.pt")
    renamed = {b"torch.nn.modules.linear\nLinear\n": b"attacker.layers\nLinear\n"}
    path = rezipped(tmp_path / "network.pt", tmp_path / "renamed.pt", renamed)
    with pytest.raises(WorkError, match=r"attacker\.layers\.Linear"):
        read_state_dict(path)


def saved_state(path: Path, *, legacy: bool) -> bytes:
    torch.save(
        OrderedDict(a=torch.arange(6.0).reshape(2, 3), b=torch.ones(2)),
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    return path.read_bytes()


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_files_are_refused(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "state.pt"
    content = saved_state(path, legacy=legacy)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(WorkError, match="not read"):
            read_state_dict(path)


@pytest.mark.parametrize("legacy", [False, True])
@given(data=st.data())
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, legacy: bool, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "state.pt"
    content = bytearray(saved_state(path, legacy=legacy))
    places = st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)
    for place in data.draw(places):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(WorkError):
        found = read_state_dict(path)
        assert all(isinstance(tensor, torch.Tensor) for tensor in found.values())


@given(content=st.binary(max_size=60))
def test_random_pickles_are_read_or_refused(content: bytes) -> None:
    def refuse(module: str, name: str) -> object:
        raise Refused(name)

    with suppress(Refused):
        PickleReader(refuse).read(io.BytesIO(content + b"."))


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", state(a=tensor(**GOOD)))
        archive.writestr("archive/data/0", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(WorkError, match="has compressed"):
        read_state_dict(path)


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    """One content under many names: few bytes that would be many in memory."""
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", state(a=tensor(**GOOD)))
        archive.writestr("archive/data/0", bytes(10_000))
        archive.filelist.extend([archive.filelist[-1]] * 20)
    with pytest.raises(WorkError, match="declare more than"):
        read_state_dict(path)


@pytest.mark.parametrize("name", ["size", "offset"])
def test_declared_sizes_are_held_against_the_file(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "bomb.pt", state(a=tensor(**GOOD)))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # the last of the directory: the storage
    place = entry + (24 if name == "size" else 42)
    content[place : place + 4] = struct.pack("<I", 0x7FFFFFF0)
    path.write_bytes(content)
    with pytest.raises(WorkError, match="not read"):
        read_state_dict(path)


def test_older_files_declare_no_more_than_they_have(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(b"M\xe8\x03") >= 1
    path.write_bytes(content.replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f"))
    with pytest.raises(WorkError, match="declare more bytes"):
        read_state_dict(path)


def test_numbers_of_big_endian_machines_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", state())
        archive.writestr("archive/byteorder", "big")
    with pytest.raises(WorkError, match="little-endian"):
        read_state_dict(path)

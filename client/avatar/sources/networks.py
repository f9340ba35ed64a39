"""Generators' networks, ready to run: ONNX by ONNX Runtime, TorchScript by torch.

An ONNX graph is data: operators of the standard and numbers.  A TorchScript archive is a program,
and pickled: it runs with all rights of the user who loads it.  So it is loaded only where the user
has named its SHA-256 himself (`trust`); what stands in a file beside it does not count as that.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from client.avatar.sources.description import PinnedFile
from common.errors import UsageError, WorkError

Floats = npt.NDArray[np.float32]
Run = Callable[[Mapping[str, Floats]], Floats]
"""Inputs by name, in the network's order, to its output."""

LARGEST_NETWORK: Final = 2 << 30
"""Bytes; protobuf has no longer message."""
ONNX_ENDINGS: Final = (".onnx",)
TORCHSCRIPT_ENDINGS: Final = (".pt", ".pth", ".ts", ".torchscript")
_DOMAINS: Final = frozenset({"", "ai.onnx"})
_ERRORS_ONLY: Final = 3


def open_network(file: PinnedFile, *, output: str = "", trust: str = "", threads: int = 2) -> Run:
    """Load a network.

    Args:
        file: with its SHA-256; the bytes that were checked are those that are loaded.
        output: name of the output wanted; empty for the only one (TorchScript has one, unnamed).
        trust: SHA-256 of TorchScript files that the user trusts, separated by commas.
        threads: of ONNX Runtime.

    Raises:
        UsageError: another SHA-256, an unknown ending, or TorchScript that is not trusted.
        WorkError: it is no such network.
    """
    ending = file.path.suffix.lower()
    if ending not in (*ONNX_ENDINGS, *TORCHSCRIPT_ENDINGS):
        raise UsageError(
            f"{file.path}: a generator is an ONNX file (.onnx) or TorchScript (.pt, .torchscript)"
        )
    content = pinned_content(file, LARGEST_NETWORK)
    if ending in ONNX_ENDINGS:
        return _onnx(file.path, content, output, threads)
    if file.sha256 not in trust.lower().replace(" ", "").split(","):
        raise UsageError(
            f"{file.path}: TorchScript is a program that runs with all your rights; take an ONNX "
            "file, or, if you know where this one comes from, give its SHA-256 with --trust "
            "(sha256sum tells it)"
        )
    return _torchscript(file.path, content)


def pinned_content(file: PinnedFile, most: int) -> bytes:
    """A file's bytes, if they are those that its description pins.

    Raises:
        UsageError: it is missing, larger than `most` bytes, or another.
    """
    try:
        if file.path.stat().st_size > most:
            raise UsageError(f"{file.path}: is larger than {most} bytes, the most that is read")
        content = file.path.read_bytes()
    except OSError as error:
        raise UsageError(f"{file.path}: can't be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise UsageError(
            f"{file.path}: its SHA-256 is {found}, but its description says {file.sha256}; get the "
            "file again, or correct the description if you know why it changed"
        )
    return content


def _onnx(path: Path, content: bytes, output: str, threads: int) -> Run:
    import onnxruntime

    _check_graph(path, content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this
        raise WorkError(f"{path}: ONNX Runtime cannot run this network ({error})") from error
    wanted = _output(path, [each.name for each in session.get_outputs()], output)
    names = {each.name for each in session.get_inputs()}

    def run(inputs: Mapping[str, Floats]) -> Floats:
        if set(inputs) != names:
            raise WorkError(
                f"{path}: takes the inputs {sorted(names)}, but its description names "
                f"{sorted(inputs)}"
            )
        try:
            (found,) = session.run([wanted], dict(inputs))
        except Exception as error:  # as above
            raise WorkError(f"{path}: failed on its input ({error})") from error
        return np.asarray(found, dtype=np.float32)

    return run


def _check_graph(path: Path, content: bytes) -> None:
    """Only operators of the standard, and no numbers in other files, of which none was checked."""
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's has no public home with types
        raise WorkError(f"{path}: is not a readable ONNX graph ({error})") from error
    own = {each.domain for each in model.functions}
    foreign = sorted({each.domain for each in model.opset_import} - _DOMAINS - own)
    if foreign:
        raise WorkError(
            f"{path}: needs operators of {foreign[0]!r:.60}, expected those of ONNX only; export "
            "it with standard operators"
        )
    graphs = (model.graph, *model.functions)
    stored = (tensor for graph in graphs for tensor in _tensors(graph))
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in stored):
        raise WorkError(
            f"{path}: keeps weights in other files; export it as one file (external_data=False)"
        )


def _tensors(graph: Any) -> Iterator[Any]:
    """All stored tensors of a graph or function and of the graphs inside its nodes."""
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)


def _output(path: Path, names: list[str], wanted: str) -> str:
    if wanted and wanted not in names:
        raise WorkError(f"{path}: has no output {wanted!r}; it has {', '.join(names)}")
    if not wanted and len(names) != 1:
        raise WorkError(f"{path}: has the outputs {', '.join(names)}; name one in its description")
    return wanted or names[0]


def _torchscript(path: Path, content: bytes) -> Run:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # exporters still write this format
            network = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise WorkError(
            f"{path}: is no TorchScript that can be loaded ({_short(error)})"
        ) from error

    def run(inputs: Mapping[str, Floats]) -> Floats:
        given = [torch.from_numpy(np.ascontiguousarray(each)) for each in inputs.values()]
        try:
            with torch.inference_mode():
                found = network(*given)
        except (RuntimeError, TypeError) as error:
            raise WorkError(f"{path}: failed on its input ({_short(error)})") from error
        if not isinstance(found, torch.Tensor):
            raise WorkError(f"{path}: gives {type(found).__name__}, expected one tensor")
        return np.asarray(found.float().numpy(), dtype=np.float32)

    return run


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]

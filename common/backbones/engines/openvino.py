"""OpenVINO on the CPU.

Nothing of OpenVINO that reports its use is called: models are read as they are (`read_model`),
never converted by it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import openvino

from common.backbones.engines.base import CropByCrop, Crops, Features
from common.errors import UsageError, WorkError
from common.openvino_core import openvino_core

_HINTS: Final = {"float32": "f32", "bfloat16": "bf16"}


def openvino_engine(
    model: onnx.ModelProto, *, dimension: int, precision: str, threads: int
) -> CropByCrop:
    """Compile a graph.

    Args:
        model: input (1, size, size, channels) uint8, output (1, dimension) float32.
        dimension: of the features.
        precision: "float32" or "bfloat16".
        threads: crops inferred at the same time.

    Raises:
        UsageError: the CPU has no bfloat16.
        WorkError: OpenVINO cannot run the graph.
    """
    compiled = CompiledModel(model.SerializeToString(), precision=precision, threads=threads)

    def infer(crop: Crops) -> Features:
        return np.array(compiled(crop)[0], dtype=np.float32)

    return CropByCrop(
        infer, dimension=dimension, threads=threads, provenance=openvino_provenance(precision)
    )


def openvino_provenance(precision: str) -> str:
    """OpenVINO's version, precision and device."""
    return f"openvino {openvino.__version__} {precision} cpu"


def has_bfloat16() -> bool:
    """Whether the CPU computes in bfloat16 by itself."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class CompiledModel:
    """A model with one input, to be called in up to `threads` threads at the same time."""

    def __init__(
        self, model: bytes | Path, *, precision: str = "float32", threads: int = 1
    ) -> None:
        """Compile `model`: an ONNX graph, or a file that OpenVINO can read.

        Raises:
            UsageError: the CPU has no bfloat16.
            WorkError: OpenVINO cannot run the model.
        """
        core = openvino_core()
        if precision == "bfloat16" and not has_bfloat16():
            raise UsageError("precision is bfloat16, which this CPU does not have; choose float32")
        try:
            self._compiled = core.compile_model(
                core.read_model(model), "CPU", _settings(precision, threads)
            )
        except RuntimeError as error:
            raise WorkError(f"OpenVINO cannot run the network: {error}") from error
        # A request holds the buffers of one inference.
        self._own = threading.local()

    def __call__(self, values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs; they are overwritten by this thread's next call."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        # Without sharing, OpenVINO would copy what goes in and comes out.
        results = request.infer({0: values}, share_inputs=True, share_outputs=True)
        return [results[i] for i in range(len(self._compiled.outputs))]


def _settings(precision: str, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        # Several processes pinned to the same first core would wait for each other.
        "ENABLE_CPU_PINNING": False,
        "CACHE_DIR": "",
    }

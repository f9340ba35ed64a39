"""ONNX Runtime on the CPU, for machines without OpenVINO."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
import onnxruntime

from common.backbones.engines.base import CropByCrop, Crops, Features
from common.errors import UsageError, WorkError

_ERRORS_ONLY: Final = 3


def onnxruntime_engine(
    model: onnx.ModelProto, *, dimension: int, precision: str, threads: int
) -> CropByCrop:
    """Open a session on a graph.

    Args:
        model: input (1, size, size, channels) uint8, output (1, dimension) float32.
        dimension: of the features.
        precision: "float32".
        threads: crops inferred at the same time.

    Raises:
        UsageError: another precision.
        WorkError: ONNX Runtime cannot run the graph.
    """
    if precision != "float32":
        raise UsageError(f"precision is {precision}, but onnxruntime has float32 only here")
    session = _session(model)
    (pixels,) = session.get_inputs()

    def infer(crop: Crops) -> Features:
        (features,) = session.run(None, {pixels.name: crop})
        return np.asarray(features, dtype=np.float32)

    provenance = f"onnxruntime {onnxruntime.__version__} float32 cpu"
    return CropByCrop(infer, dimension=dimension, threads=threads, provenance=provenance)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # One thread per crop, see `CropByCrop`.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no common base but this
        raise WorkError(f"ONNX Runtime cannot run the network: {error}") from error

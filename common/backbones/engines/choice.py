"""Which engine runs a network.

On random weights of the genuine structures float32 features of all engines have a cosine above
0.999999 with each other.  bfloat16's, in a half to two thirds of the time, have 0.99998
(EfficientNet-B0), 0.99995 (MobileNet), 0.9998 (mini-Xception) and 0.9993 (EfficientNet-B2) with
float32's.  By default bfloat16 is used where the CPU has it and the network keeps 0.9999: heads
of a fleet whose devices differ in this are averaged without harm.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.backbones.engines.base import Engine
from common.errors import UsageError

if TYPE_CHECKING:  # neither is imported before its engine is chosen
    import onnx
    from torch import nn

ENGINES: Final = ("openvino", "onnxruntime", "torch")
"""The best first."""

PRECISIONS: Final = ("float32", "bfloat16")
AUTO: Final = "auto"


@dataclass(frozen=True)
class Network:
    """The same network for each engine, made when it is asked for.

    Attributes:
        dimension: of its features.
        graph: makes an ONNX graph, (1, size, size, channels) uint8 to (1, dimension) float32.
        module: makes a torch module, (n, size, size, channels) uint8 to (n, dimension).
        bfloat16: whether "auto" may choose this precision.
    """

    dimension: int
    graph: Callable[[], onnx.ModelProto]
    module: Callable[[], nn.Module]
    bfloat16: bool = False


def open_engine(
    network: Network, *, engine: str = AUTO, precision: str = AUTO, threads: int = 1
) -> Engine:
    """Make a network ready to run.

    Args:
        network: what to run.
        engine: one of `ENGINES`, or "auto" for the first that is installed.
        precision: one of `PRECISIONS`, or "auto" for bfloat16 where network, engine and CPU have
            it, else float32.
        threads: crops inferred at the same time, at least 1; features do not depend on it.
            torch takes its threads from the process instead.

    Raises:
        UsageError: an argument is out of range, or the engine is not installed.
        WorkError: the weights are missing or wrong, or the engine cannot run the network.
    """
    chosen = chosen_engine(engine)
    exact = chosen_precision(precision, network.bfloat16 and chosen == "openvino")
    check_threads(threads)
    if chosen == "torch":
        from common.backbones.engines.torch import TorchEngine

        return TorchEngine(network.module(), dimension=network.dimension, precision=exact)
    if chosen == "openvino":
        from common.backbones.engines.openvino import openvino_engine as make
    else:
        from common.backbones.engines.onnxruntime import onnxruntime_engine as make
    return make(network.graph(), dimension=network.dimension, precision=exact, threads=threads)


def chosen_engine(engine: str) -> str:
    """The engine's name.

    Raises:
        UsageError: there is no such engine, or it is not installed.
    """
    if engine not in (AUTO, *ENGINES):
        raise UsageError(f"engine is {engine!r}; choose auto or one of: {', '.join(ENGINES)}")
    installed = [name for name in ENGINES if importlib.util.find_spec(name) is not None]
    if engine == AUTO and installed:
        return installed[0]
    if engine not in installed:
        raise UsageError(f"engine is {engine!r}, which is not installed; found: {installed}")
    return engine


def chosen_precision(precision: str, may_be_bfloat16: bool = False) -> str:
    """The precision's name; "auto" is bfloat16 where that may be and the CPU has it.

    Raises:
        UsageError: there is no such precision.
    """
    if precision not in (AUTO, *PRECISIONS):
        known = ", ".join(PRECISIONS)
        raise UsageError(f"precision is {precision!r}; choose auto or one of: {known}")
    if precision != AUTO:
        return precision
    return "bfloat16" if may_be_bfloat16 and _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16() -> bool:
    from common.backbones.engines.openvino import has_bfloat16

    return has_bfloat16()


def check_threads(threads: int) -> None:
    """Refuse fewer than one.

    Raises:
        UsageError: `threads` is below 1.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}; give at least 1")

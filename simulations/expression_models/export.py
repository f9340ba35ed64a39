"""A trained network as an ONNX graph with features and logits, and its record."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch

from common.backbones.records import BackboneRecord
from common.backbones.trained import OUTPUTS, TrainedBackbone, described, write_trained
from simulations.expression_models.networks import ExpressionNetwork
from simulations.expression_models.recipes import Recipe

BACKBONE: Final = "backbone.json"
SYNTHETIC_LICENCE: Final = "Apache-2.0"
_LICENCES: Final = MappingProxyType(
    {
        "RAF-DB": "non-commercial research only, by RAF-DB's terms",
        "AffectNet": "non-commercial research only, by AffectNet's licence agreement",
        "FER2013": "by FER2013's terms; its images come from a web search",
    }
)


def licence_of(data: str, *, synthetic: bool) -> str:
    """What binds weights that were trained on a data set."""
    if synthetic:
        return SYNTHETIC_LICENCE
    return _LICENCES.get(data, f"by the terms of the faces it was trained on ({data})")


def export_backbone(
    network: ExpressionNetwork,
    recipe: Recipe,
    classes: tuple[str, ...],
    folder: Path,
    *,
    data: str,
    synthetic: bool,
    about: Mapping[str, Any],
) -> TrainedBackbone:
    """Write `backbone.onnx` and `backbone.json` into a folder.

    Args:
        network: trained, on the CPU.
        recipe: whose size and normalisation the network wants.
        classes: in label order.
        folder: where the files go.
        data: name of the data set.
        synthetic: whether that is drawn.
        about: what else the record says of the training.

    Raises:
        WorkError: the files can't be written.
    """
    record = BackboneRecord(
        id="backbone",
        architecture=network.kind.about,
        input_size=recipe.crop,
        colour="rgb",
        mean=recipe.mean,
        std=recipe.std,
        dimension=network.dimension,
        labels=classes,
        licence=licence_of(data, synthetic=synthetic),
        source=f"trained by mien train-backbone on {'synthetic: ' if synthetic else ''}{data}",
        version=1,
        margin=0.1,
    )
    told = described(record, {"synthetic": synthetic, **about})
    return write_trained(folder / BACKBONE, onnx_graph(network, recipe.crop), told)


def onnx_graph(network: ExpressionNetwork, size: int) -> bytes:
    """From normalised images, (1, 3, size, size), to `OUTPUTS`; takes seconds.

    The network is left in evaluation mode.
    """
    with warnings.catch_warnings():
        # The exporter warns of its own parts; what it made is compared with torch in the tests.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, size, size),),
            dynamo=True,
            input_names=["images"],
            output_names=list(OUTPUTS),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch's exporter gave nothing")
    return bytes(program.model_proto.SerializeToString())

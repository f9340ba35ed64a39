"""The classes that a pickled network may have: their names, of which nothing is ever imported.

EmotiEffLib's networks were pickled whole, by several releases of timm, which kept its layers in
other modules before 0.9.  A class that is missing here is refused by name: look at what it is
before adding it.
"""

from __future__ import annotations

from typing import Final

_TORCH: Final = {
    "activation": "GELU Hardsigmoid Hardswish PReLU ReLU ReLU6 Sigmoid SiLU Softmax Tanh",
    "batchnorm": "BatchNorm1d BatchNorm2d",
    "container": "ModuleDict ModuleList Sequential",
    "conv": "Conv1d Conv2d",
    "dropout": "Dropout Dropout2d",
    "flatten": "Flatten",
    "instancenorm": "InstanceNorm2d",
    "linear": "Identity Linear",
    "normalization": "GroupNorm LayerNorm",
    "padding": "ZeroPad2d",
    "pooling": "AdaptiveAvgPool2d AdaptiveMaxPool2d AvgPool2d MaxPool2d",
}

_TIMM_NETWORKS: Final[dict[tuple[str, ...], str]] = {
    ("timm.models.efficientnet",): "EfficientNet",
    ("timm.models._pretrained",): "PretrainedCfg",
    ("timm.models._efficientnet_blocks", "timm.models.efficientnet_blocks"): (
        "ConvBnAct DepthwiseSeparableConv EdgeResidual InvertedResidual SqueezeExcite"
    ),
}

_TIMM_LAYERS: Final = {
    "activations": "HardSigmoid HardSwish PReLU Sigmoid Swish Tanh",
    "activations_jit": "HardSigmoidJit HardSwishJit SwishJit",
    "activations_me": "HardSigmoidMe HardSwishMe SwishMe",
    "adaptive_avgmax_pool": (
        "AdaptiveAvgMaxPool2d FastAdaptiveAvgPool FastAdaptiveAvgPool2d SelectAdaptivePool2d"
    ),
    "conv2d_same": "Conv2dSame",
    "drop": "DropPath",
    "linear": "Linear",
    "norm_act": "BatchNormAct2d",
    "squeeze_excite": "SEModule SqueezeExcite",
}


def _all() -> frozenset[tuple[str, str]]:
    listed: dict[tuple[str, ...], str] = {
        (f"torch.nn.modules.{module}",): names for module, names in _TORCH.items()
    }
    listed |= _TIMM_NETWORKS
    for module, names in _TIMM_LAYERS.items():
        listed[f"timm.layers.{module}", f"timm.models.layers.{module}"] = names
    return frozenset(
        (module, name)
        for modules, names in listed.items()
        for module in modules
        for name in names.split()
    )


STAND_INS: Final = _all()
"""(module, class) of each."""

"""The thesis's tables, for reference beside ours; nothing of ours is typed in here."""

from __future__ import annotations

from typing import Any, Final

SOURCE: Final = (
    "Mikhailov, System for recognising emotions and anomalies in facial expressions of people and "
    "generated faces, St Petersburg State University, 2023"
)
DATA: Final = "RAF-DB, basic set, aligned, 7 classes, its test part"
DAN_SOURCE: Final = "Wen et al. 2022, arXiv:2109.07270, as quoted there"

_ROWS: Final = (
    ("ResNet50", "base", 80.4, SOURCE),
    ("ResNet50", "trivial", 83.2, SOURCE),
    ("EfficientNet-B4", "base", 80.2, SOURCE),
    ("EfficientNet-B4", "trivial", 84.71, SOURCE),
    ("EfficientNetV2-S", "base", 83.9, SOURCE),
    ("EfficientNetV2-S", "trivial", 85.8, SOURCE),
    ("DAN, ResNet18", "its authors'", 87.19, DAN_SOURCE),
    ("DAN, EfficientNetV2-S, 4 heads", "rand", 88.2, SOURCE),
    ("DAN, EfficientNetV2-S, 5 heads", "dan-trivial", 87.94, SOURCE),
)


def published() -> list[dict[str, Any]]:
    """One entry per published figure, accuracy in percent."""
    return [
        {
            "published": True,
            "network": network,
            "recipe": recipe,
            "accuracy_percent": percent,
            "data": DATA,
            "source": source,
        }
        for network, recipe, percent, source in _ROWS
    ]

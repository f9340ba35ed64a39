"""What decides features beside the clip: the libraries, and what a table says it was made by."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import av

from common.backbones.registry import backbone_ids, backbone_record, feature_spec
from common.errors import UsageError

_LIBRARIES: Final = (
    "av",
    "opencv-python-headless",
    "numpy",
    "torch",
    "openvino",
    "onnxruntime",
    "facenet-pytorch",
)


OPENFACE_SPEC: Final = "openface-au/1"
"""Action units as OpenFace wrote them; the number is raised when other rows would be taken."""
IMPORTED: Final = (OPENFACE_SPEC,)
"""Specifications of features that come from other programs' files."""


def provenance() -> dict[str, str]:
    """Versions of all that features of videos depend on, by name.

    Features are cached, and their tables say, under these: other versions may round otherwise.
    """
    found = {name: _version(name) for name in _LIBRARIES}
    for name, numbers in av.library_versions.items():
        found[f"ffmpeg-{name}"] = ".".join(str(number) for number in numbers)
    found["machine"] = platform.machine()
    return dict(sorted(found.items()))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def check_specs(where: str, specs: set[str]) -> str:
    """The one specification of a table, if this Mien would make the same features.

    Args:
        where: the table, for the error.
        specs: all that the table names, at least one.

    Raises:
        UsageError: there are several, it is unknown, or it is another version's.
    """
    if len(specs) > 1:
        raise UsageError(
            f"{where}: holds features of several specifications ({', '.join(sorted(specs))}), "
            "which must not be mixed; make one table of each"
        )
    (spec,) = specs
    # Own weights are noted behind a "+", see `common.backbones.registry.load`.
    name, _, rest = spec.partition("/")
    base = name.partition("+")[0]
    known = {each.split("/")[0]: each for each in IMPORTED}
    known |= {id: feature_spec(backbone_record(id)) for id in backbone_ids()}
    if base not in known:
        raise UsageError(
            f"{where}: its features are of the unknown specification {spec[:80]!r}; this Mien "
            f"knows {', '.join(sorted(known.values()))}"
        )
    if rest != known[base].partition("/")[2]:
        raise UsageError(
            f"{where}: its features are of specification {spec[:80]}, this Mien makes "
            f"{known[base]}, and the two must not be mixed; extract them again"
        )
    return spec

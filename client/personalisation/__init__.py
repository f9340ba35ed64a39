"""Personal heads: one method per file, all with the interface of `interface`."""

from __future__ import annotations

from collections.abc import Mapping

from client.personalisation.corrected import fit_map
from client.personalisation.ditto import fit_ditto
from client.personalisation.fed_ala import fit_fed_ala
from client.personalisation.fine_tune import fit_fine_tune
from client.personalisation.interface import Method
from client.personalisation.local_only import fit_local_only
from client.personalisation.shared_attention import fit_shared_attention
from client.personalisation.universal import fit_universal

METHODS: Mapping[str, Method] = {
    "universal": fit_universal,
    "local-only": fit_local_only,
    "fine-tune": fit_fine_tune,
    "map": fit_map,
    "shared-attention": fit_shared_attention,
    "ditto": fit_ditto,
    "fed-ala": fit_fed_ala,
}
DEFAULT_METHOD = "map"

"""A simulation's accuracy with identification in the loop, for its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from common.identity.network import identity_spec
from server.run import load_head
from simulations.data.embeddings import EMBEDDINGS
from simulations.identification.figures import identification_figures
from simulations.identification.galleries import Likenesses, shared_devices
from simulations.identification.loop import Loop, Record, close_loop
from simulations.watching import Watcher

if TYPE_CHECKING:
    from simulations.simulate import Prepared

RULE: Final = (
    "a clip is of the user who is enrolled with the nearest clip (median distance over all pairs "
    "of the two clips' faces) if that is below the network's published threshold, else nobody's"
)


def measure_identification(
    prepared: Prepared, by_user: Mapping[str, Sequence[Record]], watch: Watcher
) -> dict[str, Any]:
    """`identification` of a simulation's results, where it is asked for; else nothing.

    Args:
        prepared: the simulation, its federations run.
        by_user: records of all users, each is added to; see `close_loop`.
        watch: told of progress.
    """
    settings, source = prepared.settings, prepared.source
    if source.faces is None:
        return {}
    loop = Loop(
        clips=source.clips,
        likenesses=Likenesses(source.faces),
        devices=shared_devices(prepared.users, settings.users_per_device),
        own_clips=prepared.own_clips,
        seed=settings.seed,
        draws=settings.draws,
        head=lambda name: load_head(prepared.root / "server" / f"{name}.safetensors"),
        evidence={name: choice.evidence for name, choice in prepared.choices.items()},
    )
    close_loop(by_user, loop, lambda done, total: watch("users identified", done, total))
    return {"identification": told(by_user, loop, synthetic=source.synthetic)}


def told(by_user: Mapping[str, Sequence[Record]], loop: Loop, *, synthetic: bool) -> dict[str, Any]:
    """Figures as `identification_figures` gives them, with what was assumed."""
    faces = loop.likenesses.faces
    tested = {n for records in by_user.values() for r in records for n in r["test_clips"]}
    alone = {device[0] for device in loop.devices if len(device) == 1}
    return {
        "synthetic": synthetic,
        "network": identity_spec(faces.record),
        "threshold": faces.record.threshold,
        "threshold_source": faces.record.threshold_source,
        "rule": RULE,
        "faces_per_clip": EMBEDDINGS,
        "test_clips_without_face": len(tested - faces.by_clip.keys()),
        "devices": [list(device) for device in loop.devices],
        **identification_figures(by_user, loop.own_clips, alone=alone, seed=loop.seed),
    }

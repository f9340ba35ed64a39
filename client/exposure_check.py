"""Whether a device takes part in a round: its own word, whatever the server says of the round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from client.exposure import DECLINES, Asked, basis_of, would_exceed
from common.heads.leak import WIDEST_PROJECTION, mixing_arrays
from common.heads.specification import HEAD_STAGE

if TYPE_CHECKING:
    from client.settings import DeviceStore
    from common.clips import ClipSet
    from common.heads.specification import HeadSpecification
    from common.messages import Request


BARE_REFUSED: Final = (
    "the server asks for an update as it is, and this device sends updates in secure sums only; "
    "its owner may allow it: mien device exposure --bare-updates allow"
)


def refusal(
    store: DeviceStore,
    request: Request,
    *,
    stay: int = 0,
    noise: float = 0.0,
    clips: ClipSet | None = None,
) -> str | None:
    """Why the device declines a round, in one sentence; None if it takes part.

    Args:
        store: the device's.
        request: `reference` or `head`; a test of the device's own sends nothing.
        stay: members without whom the secure sum is not revealed; 0 without one.
        noise: multiplier of the noise that the device can count on; 0 for none.
        clips: of `store`, where they have been read already.

    Raises:
        LedgerBroken: then nothing may leave anyway.
    """
    if why := leak_refusal(request.head.specification, accepted=store.settings().accept_leak):
        return why
    limits = store.exposure_limits()
    if not stay and not limits.bare_updates:
        return BARE_REFUSED
    if request.stage != HEAD_STAGE or (limits.share is None and limits.epsilon is None):
        return None
    used = store.clips() if clips is None else clips
    asked = Asked(
        stage=request.stage,
        combinations=Asked.of(request.stage, request.head.specification).combinations,
        stay=stay,
        noise=noise,
        basis=basis_of(request, used),
    )
    decision = would_exceed(store.ledger.entries(), asked, len(used), limits)
    return None if decision.take_part else decision.reason.removeprefix(DECLINES)


def leak_refusal(specification: HeadSpecification, *, accepted: bool) -> str | None:
    """Why a head should not be trained for a server; None if it may be, or its owner accepts."""
    mixing = mixing_arrays(specification)
    if accepted or not mixing:
        return None
    return (
        f"head {specification.kind} on {specification.dimension} features would tell mixtures of "
        f"this device's clips by {', '.join(mixing)} in a single round; it takes part in such "
        f"heads only on features of at most {WIDEST_PROJECTION} numbers, unless its settings "
        "accept the leak"
    )

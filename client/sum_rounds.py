"""What a device does with a step of a secure sum; without Flower, and mostly without torch.

Each step is a process of its own on a device in a fleet, and torch takes seconds to load; only the
step that trains loads it.
"""

from __future__ import annotations

from client.exposure import DECLINES, Asked, exposure_part, would_exceed
from client.exposure_check import leak_refusal
from client.secure_aggregation.taking_part import Protection, Trained, answer_step
from client.settings import FEWEST_CLIPS, DeviceStore
from common.clips import ClipSet
from common.heads.specification import HEAD_STAGE
from common.messages import Request, SumRequest
from common.secure_aggregation.session import SecureSumRefused


def answer_sum(store: DeviceStore, asked: SumRequest) -> bytes | None:
    """What leaves the device in one step of a secure sum; None where it declines."""

    def train(request: Request, protection: Protection) -> Trained:
        clips = store.clips()
        if len(clips) < FEWEST_CLIPS:
            raise SecureSumRefused("this device has too few clips by now to go on")
        told = exposure_part(
            request,
            clips,
            secure_sum=protection.secure_sum,
            noise=protection.told_noise,
            clip_norm=request.plan.clip_norm or None,
        )
        from client.rounds import trained

        return trained(request, clips), told

    return answer_step(store, asked, willing=lambda a, p: _willing(store, a, p), train=train)


def stays_out(store: DeviceStore, request: Request | SumRequest, clips: ClipSet) -> bool:
    """Whether the device has no part in a federation, or too few clips for one."""
    return request.plan.name in store.settings().held_out_of or len(clips) < FEWEST_CLIPS


def _willing(store: DeviceStore, asked: SumRequest, protection: Protection) -> bool:
    """Whether the device takes part in a secure sum under such protection."""
    clips = store.clips()
    if stays_out(store, asked, clips):
        return False
    why = leak_refusal(asked.specification, accepted=store.settings().accept_leak)
    limits = store.exposure_limits()
    unlimited = limits.share is None and limits.epsilon is None
    if why is None and asked.stage == HEAD_STAGE and not unlimited:
        round_ = Asked.of(
            asked.stage, asked.specification, stay=protection.stay, noise=protection.noise
        )
        decision = would_exceed(store.ledger.entries(), round_, len(clips), limits)
        why = None if decision.take_part else decision.reason.removeprefix(DECLINES)
    if why is not None:
        store.note_declined(f"round {asked.round}", why)
    return why is None

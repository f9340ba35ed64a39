"""What a device does with a request: take part, decline, or test itself. Without Flower."""

from __future__ import annotations

import torch

from client.evaluation import evaluate_part
from client.exposure import DECLINES, Asked, exposure_part, would_exceed
from client.exposure_check import leak_refusal, refusal
from client.secure_aggregation.taking_part import Protection, Trained, answer_step
from client.settings import DeviceStore
from client.store import DeviceFolder, StoredPersonalHead
from client.training import FEWEST_CLIPS, head_update, reference_update
from common.clips import ClipSet
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE
from common.messages import EVALUATE, Request, SumRequest
from common.privacy.clipping import clip_update
from common.secure_aggregation.session import SecureSumRefused
from common.update import HeadUpdate


def answer(store: DeviceStore, request: Request, *, run: int) -> HeadUpdate | None:
    """The update that a request asks for, or None where there is nothing to send.

    None is the answer to `evaluate`, and of a device whose clips are held out of the federation,
    are fewer than `FEWEST_CLIPS`, or whose budget is used up. Only a `DeviceFolder` has tests that
    a server may start; a vault's users are tested when their heads are personalised, whatever the
    fleet does.
    """
    torch.set_num_threads(1)  # many devices share the cores, and sums keep their order
    if request.stage == EVALUATE:
        if isinstance(store, DeviceFolder):
            evaluate(store, request, run=run)
        return None
    clips = store.clips()
    if _stays_out(store, request, clips):
        return None
    if why := refusal(store, request, clips=clips):
        store.note_declined(f"round {request.round}", why)
        return None
    return trained(request, clips)


def answer_sum(store: DeviceStore, asked: SumRequest) -> bytes | None:
    """What leaves the device in one step of a secure sum; None where it declines."""
    torch.set_num_threads(1)

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
        return trained(request, clips), told

    return answer_step(store, asked, willing=lambda a, p: _willing(store, a, p), train=train)


def trained(request: Request, clips: ClipSet) -> HeadUpdate:
    """The update that clips give, shortened to the plan's norm where it has one.

    A reference is in the features' own units, which no norm suits.
    """
    if request.stage == REFERENCE_STAGE:
        return reference_update(request.head, clips)
    update = head_update(request.head, clips, request.plan.training, round=request.round)
    norm = request.plan.clip_norm
    return clip_update(update, norm) if norm else update


def _stays_out(store: DeviceStore, request: Request | SumRequest, clips: ClipSet) -> bool:
    return request.plan.name in store.settings().held_out_of or len(clips) < FEWEST_CLIPS


def _willing(store: DeviceStore, asked: SumRequest, protection: Protection) -> bool:
    """Whether the device takes part in a secure sum under such protection."""
    clips = store.clips()
    if _stays_out(store, asked, clips):
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


def evaluate(folder: DeviceFolder, request: Request, *, run: int) -> None:
    """Personalise and test the users who are held out of this federation; keep all of it here."""
    settings, clips = folder.settings(), folder.clips()
    records = []
    for part in settings.parts:
        if part.federation != request.plan.name:
            continue
        record, head, statistics = evaluate_part(request.head, clips, part, settings)
        records.append(record)
        folder.save_personal(
            StoredPersonalHead(
                user=part.user,
                head=head,
                statistics=statistics,
                run=run,
                round=request.round,
                specification=settings.specification.number,
            )
        )
    if records:
        folder.save_evaluation(request.plan.name, records)

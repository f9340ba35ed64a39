"""What a device does with a request: take part, decline, or test itself. Without Flower."""

from __future__ import annotations

import torch

from client.evaluation import evaluate_part
from client.exposure_check import refusal
from client.settings import DeviceStore
from client.store import DeviceFolder, StoredPersonalHead
from client.sum_rounds import stays_out
from client.training import head_update, reference_update
from common.clips import ClipSet
from common.heads.specification import REFERENCE_STAGE
from common.messages import EVALUATE, Request
from common.privacy.clipping import clip_update
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
    if stays_out(store, request, clips):
        return None
    if why := refusal(store, request, clips=clips):
        store.note_declined(f"round {request.round}", why)
        return None
    return trained(request, clips)


def trained(request: Request, clips: ClipSet) -> HeadUpdate:
    """The update that clips give, shortened to the plan's norm where it has one.

    A reference is in the features' own units, which no norm suits.
    """
    torch.set_num_threads(1)
    if request.stage == REFERENCE_STAGE:
        return reference_update(request.head, clips)
    update = head_update(request.head, clips, request.plan.training, round=request.round)
    norm = request.plan.clip_norm
    return clip_update(update, norm) if norm else update


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

"""What a device does with a request: take part, decline, or test itself. Without Flower."""

from __future__ import annotations

import torch

from client.evaluation import evaluate_part
from client.settings import DeviceStore
from client.store import DeviceFolder, StoredPersonalHead
from client.training import FEWEST_CLIPS, head_update, reference_update
from common.heads.specification import REFERENCE_STAGE
from common.messages import EVALUATE, Request
from common.update import HeadUpdate


def answer(store: DeviceStore, request: Request, *, run: int) -> HeadUpdate | None:
    """The update that a request asks for, or None where there is nothing to send.

    None is the answer to `evaluate`, and of a device whose clips are held out of the federation or
    are fewer than `FEWEST_CLIPS`. Only a `DeviceFolder` has tests that a server may start; a
    vault's users are tested when their heads are personalised, whatever the fleet does.
    """
    torch.set_num_threads(1)  # many devices share the cores, and sums keep their order
    if request.stage == EVALUATE:
        if isinstance(store, DeviceFolder):
            evaluate(store, request, run=run)
        return None
    settings, clips = store.settings(), store.clips()
    if request.plan.name in settings.held_out_of or len(clips) < FEWEST_CLIPS:
        return None
    if request.stage == REFERENCE_STAGE:
        return reference_update(request.head, clips)
    return head_update(request.head, clips, request.plan.training, round=request.round)


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

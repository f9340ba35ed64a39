"""The device's Flower app. All it does is in `client.rounds`; all it sends passes the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.flower_adapter import (
    RELEASE,
    content_of,
    device_folder,
    egress_gate,
    request_of,
    step_content,
    sum_request_of,
    take_release,
)
from common.wire import SUM

if TYPE_CHECKING:
    from client.settings import DeviceStore
    from common.messages import Request
    from common.update import HeadUpdate

app = ClientApp(mods=[egress_gate])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer a training request with an update, or with nothing."""
    folder = device_folder(message, context)
    update = answer(folder, request_of(message, folder), run=context.run_id)
    return Message(content_of(update), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Let held-out users test the head; the answer is empty."""
    folder = device_folder(message, context)
    answer(folder, request_of(message, folder), run=context.run_id)
    return Message(content_of(None), reply_to=message)


@app.query(SUM)
def secure_sum(message: Message, context: Context) -> Message:
    """Take one step of a secure sum, or decline it."""
    from client.sum_rounds import answer_sum

    store = device_folder(message, context)
    payload = answer_sum(store, sum_request_of(message, store))
    return Message(step_content(payload), reply_to=message)


@app.query(RELEASE)
def release(message: Message, context: Context) -> Message:
    """Adopt a release, or stay with the last good one; the answer is empty."""
    take_release(message, device_folder(message, context))
    return Message(content_of(None), reply_to=message)


def answer(store: DeviceStore, request: Request, *, run: int) -> HeadUpdate | None:
    """See `client.rounds.answer`; only messages that ask for it load torch, releases do not."""
    from client.rounds import answer as answered

    return answered(store, request, run=run)

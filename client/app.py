"""The device's Flower app. All it does is in `client.rounds`; all it sends passes the gate."""

from __future__ import annotations

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.flower_adapter import content_of, device_folder, egress_gate, request_of
from client.rounds import answer

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

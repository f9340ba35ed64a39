"""Which folder a message reaches: a deployed device's own, or a simulated one by its number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, RecordDict

from client.flower_adapter import content_of, device_folder
from common.errors import WorkError
from common.heads.specification import HEAD_STAGE
from common.update import HeadUpdate
from common.wire import ARRAYS, NUMBERS, Expected, read_update, wire_reply
from tests.client.fakes import (
    ask,
    device,
    made_up_clips,
    message_to,
    read,
    request,
    send,
    specification,
)


def context(root: Path, **node_config: str | int) -> Context:
    return Context(1, 7, dict(node_config), RecordDict(), {"state-root": str(root)})


def simulated(root: Path) -> Context:
    return context(root, **{"partition-id": 0})


def test_a_node_without_state_dir_that_no_simulation_runs_is_refused(tmp_path: Path) -> None:
    """Whoever submits a run could else name a folder of the device."""
    device(tmp_path, made_up_clips(), specification(), index=3)
    message = message_to(request(specification(), HEAD_STAGE), device=3)
    with pytest.raises(WorkError, match="no state-dir"):
        device_folder(message, context(tmp_path))


def test_a_deployed_device_is_where_its_own_configuration_says(tmp_path: Path) -> None:
    """No message, and no setting of the run, can lead it elsewhere."""
    message = message_to(request(specification(), HEAD_STAGE), device=3)
    own = str(tmp_path / "own")
    found = device_folder(message, context(tmp_path / "run", **{"state-dir": own}))
    assert found.path == tmp_path / "own"


def test_a_simulated_device_is_the_one_that_the_message_names(tmp_path: Path) -> None:
    message = message_to(request(specification(), HEAD_STAGE), device=12)
    assert device_folder(message, simulated(tmp_path)).path == tmp_path / "devices" / "00012"


@pytest.mark.parametrize("number", [-1, "1", "../../x", 1.0, True, None, [1]])
def test_anything_but_a_number_names_no_device(tmp_path: Path, number: object) -> None:
    folder = device(tmp_path, made_up_clips(), specification())
    message = message_to(request(specification(), HEAD_STAGE))
    config = message.content.config_records["config"]
    if number is None:
        del config["device"]
    else:
        config["device"] = number  # type: ignore[assignment]
    with pytest.raises(WorkError, match="names no simulated device"):
        device_folder(message, simulated(tmp_path))
    assert read(send(tmp_path, message)).has_error()
    assert list(folder.ledger.entries()) == []


def test_each_simulated_device_answers_from_its_own_clips(tmp_path: Path) -> None:
    spec = specification()
    for index, count in enumerate((1, 2)):
        device(tmp_path, made_up_clips(per_expression=count), spec, index=index)
    replies = [
        read(send(tmp_path, message_to(request(spec, HEAD_STAGE), device=index)))
        for index in (0, 1)
    ]
    clips = [reply.content.metric_records[NUMBERS]["num-examples"] for reply in replies]
    assert clips == [8, 16]


def test_an_update_is_the_same_after_the_wire(tmp_path: Path) -> None:
    spec = specification("single-attention")
    arrays = {
        name: np.asfortranarray(np.random.default_rng(1).normal(size=shape).astype(np.float32))
        for name, shape in spec.shapes(HEAD_STAGE).items()
    }
    update = HeadUpdate(specification=spec, stage=HEAD_STAGE, round=3, clips=9, arrays=arrays)
    expected = Expected(specification=spec, stage=HEAD_STAGE, round=3)
    found = read_update(wire_reply(content_of(update)), expected)
    assert found.payload == update.payload
    assert (found.clips, found.round) == (9, 3)


def test_no_update_is_empty_content() -> None:
    assert len(content_of(None)) == 0


def test_a_reply_has_the_two_records_only(tmp_path: Path) -> None:
    device(tmp_path, made_up_clips(), specification())
    reply = read(ask(tmp_path, request(specification(), HEAD_STAGE)))
    assert set(reply.content) == {ARRAYS, NUMBERS}
    assert set(reply.content.metric_records[NUMBERS]) == {"num-examples", "round", "specification"}

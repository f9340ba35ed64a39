"""Data that is smuggled out under a sealed name, kind or place: A12 has to name each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.secure_aggregation import secaggplus_constants as stock

from common.heads.specification import HEAD_STAGE, HeadSpecification
from common.wire import ARRAYS, NPY_KIND, NUMBERS, PAYLOAD, SUM, Expected, encode_array
from server.audit import reply_parts
from server.audit.finding import INDIVIDUAL, Verdict
from server.audit.finding import SUM as SUM_VIEW
from server.audit.lab import Lab, play
from server.audit.lab_record import message_bytes, record_lab
from server.audit.reply_parts import Parts, parts_of
from tests.server.audit.test_mutations import copied, found

SMALL = Lab(clients=3, clips=4, other_takes=2, rounds=1, public=1, dimension=6)
STEM = "lab-head-1"
HEAD = np.arange(48.0, dtype="<f4").tobytes()
"""A personal head's bytes."""
SPECIFICATION = HeadSpecification(kind="logistic", dimension=6, features="synthetic")
EXPECTED = Expected(specification=SPECIFICATION, stage=HEAD_STAGE, round=1)
NODES = (7, 9)


def parts(records: dict[str, Any], *, sums: bool = True) -> Parts:
    return parts_of(RecordDict(records), EXPECTED, sums=sums, nodes=NODES)


def as_array(values: np.ndarray, dtype: str = "float32") -> Array:
    return Array(dtype, values.shape, NPY_KIND, encode_array(values.astype(np.float32)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, lab in (("plain", SMALL), ("summed", replace(SMALL, secure=True))):
        folder = tmp_path_factory.mktemp(name)
        record_lab(play(lab), folder / "run")
        made[name] = folder / "run"
    return made


@pytest.mark.parametrize(
    ("kind", "records", "name"),
    [
        ("summed", {SUM: ConfigRecord({PAYLOAD: b"x", "mine": HEAD})}, "bytes 'mine'"),
        ("summed", {"sums": ConfigRecord({PAYLOAD: HEAD})}, "bytes 'payload'"),
        ("summed", {SUM: ConfigRecord({PAYLOAD: [HEAD]})}, "bytes 'payload'"),
        ("plain", {SUM: ConfigRecord({PAYLOAD: HEAD})}, "bytes 'payload'"),
        ("plain", {"extra": ConfigRecord({"mine": HEAD})}, "bytes 'mine'"),
        ("summed", {"x": ArrayRecord({"mine": as_array(np.ones(9), "uint32")})}, "array 'mine'"),
        ("summed", {HEAD.hex()[:40]: ConfigRecord()}, f"empty record '{HEAD.hex()[:40]}'"),
    ],
)
@pytest.mark.parametrize("view", [INDIVIDUAL, SUM_VIEW])
def test_what_is_smuggled_is_named(
    runs: dict[str, Path], tmp_path: Path, kind: str, records: dict[str, Any], name: str, view: str
) -> None:
    run = copied(runs[kind], tmp_path)
    (run / f"{STEM}-2.bin").write_bytes(message_bytes(RecordDict(records), 2))
    finding = found(run, "A12", view)
    if kind == "plain" and view == SUM_VIEW:
        assert finding.verdict is Verdict.NOT_MEASURABLE
        return
    assert finding.verdict is Verdict.FAIL
    assert finding.details["found"][name] == 1
    assert "egress gate" in finding.change


def test_a_test_of_a_head_has_nothing_to_tell(runs: dict[str, Path], tmp_path: Path) -> None:
    run = copied(runs["plain"], tmp_path)
    sent = {"x": ConfigRecord({"round": 1, "mine": HEAD})}
    weight = ArrayRecord({"population.weight": as_array(np.ones((8, 6)))})
    for number, content in enumerate((RecordDict(), RecordDict({**sent, ARRAYS: weight}))):
        path = run / f"lab-evaluate-2-{number}.bin"
        path.write_bytes(message_bytes(content, number))
    told = found(run, "A12", INDIVIDUAL).details["found"]
    assert {name for name in told if name.endswith("of a test")} == {
        "number 'round' of a test",
        "bytes 'mine' of a test",
        "array 'population.weight' of a test",
    }


def test_an_update_that_is_called_a_masked_vector_is_an_update(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    run = copied(runs["summed"], tmp_path)
    weight = as_array(np.ones((8, 6)), "uint32")
    content = RecordDict({ARRAYS: ArrayRecord({"population.weight": weight})})
    (run / f"{STEM}-2.bin").write_bytes(message_bytes(content, 2))
    told = found(run, "A12").details["found"]
    assert set(told) == {
        "a single update",
        "array 'population.weight' in another form than an update's",
    }


def test_steps_and_updates_hold_nothing_odd() -> None:
    step = parts({SUM: ConfigRecord({PAYLOAD: b"x"})})
    assert step == Parts(sealed={PAYLOAD})
    numbers: dict[str, Any] = {"num-examples": 3, "round": 1, "specification": SPECIFICATION.number}
    arrays = {n: as_array(np.zeros(s)) for n, s in SPECIFICATION.shapes(HEAD_STAGE).items()}
    update = parts({ARRAYS: ArrayRecord(arrays), NUMBERS: MetricRecord(numbers)}, sums=False)
    assert (update.odd, set(update.numbers), update.sealed) == ([], set(numbers), set())


@pytest.mark.parametrize(
    ("record", "value"),
    [(NUMBERS, 2), (NUMBERS, 1.0), (NUMBERS, [1]), ("other", 1)],
    ids=["another round", "a float", "a list", "another record"],
)
def test_a_harmless_name_excuses_only_its_own_number(record: str, value: Any) -> None:
    told = parts({record: MetricRecord({"round": value})})
    assert told.odd == ["number 'round' in another form than an update's"]


def test_a_name_that_stands_twice_hides_nothing() -> None:
    told = parts({NUMBERS: MetricRecord({"round": 1}), "b": ConfigRecord({"round": HEAD})})
    assert told.numbers == {"round": 1, "b/round": HEAD}
    assert told.odd == ["number 'round' in another form than an update's"]


@pytest.mark.parametrize(
    "change",
    [{"dtype": "uint32"}, {"shape": (9, 6)}, {"stype": "other"}, {"data": b"\x01" * 400}],
)
def test_an_array_that_only_has_an_updates_name_is_odd(change: dict[str, Any]) -> None:
    good = as_array(np.zeros((8, 6)))
    about = {"dtype": good.dtype, "shape": good.shape, "stype": good.stype, "data": good.data}
    array = Array(**{**about, **change})
    told = parts({ARRAYS: ArrayRecord({"population.weight": array})})
    assert told.odd == ["array 'population.weight' in another form than an update's"]


def test_stock_addresses_are_devices_of_the_run() -> None:
    named: dict[str, Any] = {"dsts": [7, 9], "pk1": b"k", "ctxts": [b"a", b"b"]}
    told = parts({stock.RECORD_KEY_CONFIGS: ConfigRecord(named)})
    assert told == Parts(sealed={"pk1", "ctxts"})
    for smuggled in ([7, 8], [7, 7, 9], [123456789]):
        told = parts({stock.RECORD_KEY_CONFIGS: ConfigRecord({"nids": smuggled})})
        assert told.numbers == {"nids": smuggled}


def test_stock_names_are_those_of_the_installed_flower() -> None:
    key = stock.Key
    assert stock.RECORD_KEY_CONFIGS == reply_parts.STOCK
    assert (key.PUBLIC_KEY_1, key.PUBLIC_KEY_2) == reply_parts.PUBLIC_KEYS
    listed = {name for (_, name), several in reply_parts.SEALED.items() if several}
    assert listed == {key.CIPHERTEXT_LIST, key.MASKED_PARAMETERS, key.SHARE_LIST}
    assert {name for _, name in reply_parts.ADDRESSES} == {key.DESTINATION_LIST, key.NODE_ID_LIST}

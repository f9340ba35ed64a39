"""Faults planted in a run as it is recorded, each caught by name from what `mien audit DIR` reads.

Halved noise, a mask used again, the number of examples in clear, one update unmasked, a personal
head in a reply, canaries in no sum, a void promise; and the same record without a fault.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict
from safetensors.numpy import load_file

from server.audit.attacks.a08_canaries import ATTACK as A8
from server.audit.finding import FINAL, SUM, Finding, Verdict
from server.audit.lab import Lab, encoded, play
from server.audit.lab_record import message_bytes, record_lab, reply_bytes
from server.audit.recorded import load_subject
from server.audit.recording_format import read_claim, read_sum, write_claim, write_sum
from server.audit.run import ATTACKS, document
from server.audit.transcript import Claim, Received, Ring, SecureSum, Vector

SMALL = Lab(clients=10, clips=6, other_takes=20, rounds=2, public=2, dimension=160, masked=True)
SUMMED = replace(SMALL, secure=True)
PRIVATE = replace(
    SUMMED, masked=False, rounds=10, noise_multiplier=2.68, clip=1.0, canaries=100, dimension=200
)
NARROW = replace(SUMMED, dimension=35, rounds=3)
"""A head of 35 numbers, as of action units: 576 entries, too few for 256 classes."""
STEM = "lab-head-2"


def written(lab: Lab, folder: Path) -> Path:
    record_lab(play(lab), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def summed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(SUMMED, tmp_path_factory.mktemp("summed"))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(NARROW, tmp_path_factory.mktemp("narrow"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(SMALL, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(PRIVATE, tmp_path_factory.mktemp("private"))


def copied(run: Path, folder: Path) -> Path:
    for name in ("run", "run-truth"):
        shutil.copytree(run.parent / name, folder / name)
    return folder / "run"


def found(run: Path, attack: str, view: str = SUM) -> Finding:
    return next(a for a in ATTACKS if a.id == attack).find(load_subject(run), view)


def sum_of(run: Path, stem: str = STEM) -> SecureSum:
    secure = read_sum(run, stem)
    assert secure is not None
    return secure


def with_masked(run: Path, member: str, vector: Ring, stem: str = STEM) -> None:
    secure = sum_of(run, stem)
    number = {name: n for n, name in enumerate(secure.members, start=1)}
    masked = {number[name]: each for name, each in {**secure.masked, member: vector}.items()}
    write_sum(
        run,
        stem,
        total=secure.total,
        members={n: name for name, n in number.items()},
        step=secure.step,
        masked=masked,
    )


def own_of(run: Path, stem: str, number: str) -> Vector:
    return load_file(run.parent / "run-truth" / f"{stem}-plain.safetensors")[number]


@pytest.mark.parametrize("attack", ["A10", "A12"])
def test_a_record_without_faults_passes(summed: Path, attack: str) -> None:
    finding = found(summed, attack)
    assert finding.verdict is Verdict.PASS, finding.meaning


def test_halved_noise_is_caught(private: Path, tmp_path: Path) -> None:
    """Half the noise under the whole claim: A8 measures it, whatever the paper says."""
    claim = read_claim(private, "lab")
    assert claim is not None
    assert found(private, "A8").verdict is Verdict.PASS
    halved = written(replace(PRIVATE, noise_multiplier=1.34), tmp_path)
    write_claim(halved, "lab", claim)
    finding = found(halved, "A8")
    assert finding.verdict is Verdict.FAIL
    assert "weaker than claimed" in finding.change


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"noise_multiplier": 1.34}, "noise of 1.34 times the clip cost epsilon"),
        ({"rounds": 10}, "it counts 10 releases, and 11 were made"),
        ({"seeded": True}, "its noise came from a seed"),
    ],
)
def test_a_claim_that_does_not_follow_is_caught(
    private: Path, tmp_path: Path, changes: dict[str, float], reason: str
) -> None:
    run = copied(private, tmp_path)
    claim = read_claim(run, "lab")
    assert claim is not None
    write_claim(run, "lab", replace(claim, **changes))  # type: ignore[arg-type]
    finding = found(run, "A9")
    assert finding.verdict is Verdict.FAIL
    assert reason in finding.meaning


def test_a_mask_that_is_used_again_is_caught(summed: Path, tmp_path: Path) -> None:
    run = copied(summed, tmp_path)
    before = sum_of(run, "lab-head-1").masked["00003"]
    again = before - encoded(own_of(run, "lab-head-1", "4")) + encoded(own_of(run, STEM, "4"))
    with_masked(run, "00003", again)
    finding = found(run, "A10")
    assert finding.verdict is Verdict.FAIL
    assert finding.details["problems"] == ["00003 used the mask of round 1 again in 2"]


def test_an_unmasked_update_is_caught(summed: Path, tmp_path: Path) -> None:
    run = copied(summed, tmp_path)
    with_masked(run, "00002", encoded(own_of(run, STEM, "3")))
    finding = found(run, "A10")
    assert finding.verdict is Verdict.FAIL
    assert "00002 in round 2 is not uniform" in finding.meaning


def test_a_narrow_head_without_faults_passes(narrow: Path) -> None:
    finding = found(narrow, "A10")
    assert finding.verdict is Verdict.PASS, finding.meaning


def test_an_unmasked_update_of_a_narrow_head_is_caught(narrow: Path, tmp_path: Path) -> None:
    run = copied(narrow, tmp_path)
    with_masked(run, "00002", encoded(own_of(run, STEM, "3")))
    finding = found(run, "A10")
    assert finding.verdict is Verdict.FAIL
    assert "00002 in round 2 is not uniform" in finding.meaning


def test_a_mask_of_two_rounds_before_is_caught(narrow: Path, tmp_path: Path) -> None:
    run, last = copied(narrow, tmp_path), "lab-head-3"
    before = sum_of(run, "lab-head-1").masked["00003"]
    again = before - encoded(own_of(run, "lab-head-1", "4")) + encoded(own_of(run, last, "4"))
    with_masked(run, "00003", again, last)
    finding = found(run, "A10")
    assert finding.verdict is Verdict.FAIL
    assert finding.details["problems"] == ["00003 used the mask of round 1 again in 3"]


def test_what_shows_in_no_single_vector_shows_in_all_of_a_member(
    narrow: Path, tmp_path: Path
) -> None:
    """Masks whose top byte is never odd: 576 entries are too few for classes of single bytes."""
    run, random = copied(narrow, tmp_path), np.random.default_rng(5)
    for number in (1, 2, 3):
        stem = f"lab-head-{number}"
        vector = random.integers(2**32, size=576, dtype=np.uint32) & np.uint32(0xFEFFFFFF)
        with_masked(run, "00003", vector, stem)
    finding = found(run, "A10")
    assert finding.details["problems"] == [
        "the vectors of 00003 in all rounds are not uniform together"
    ]


def test_a_reference_in_clear_is_caught_too(summed: Path, tmp_path: Path) -> None:
    """Round 0 is masked as two limbs, each as long as the arrays, and the weight."""
    run, stem, random = copied(summed, tmp_path), "lab-reference-0", np.random.default_rng(6)
    secure = sum_of(run, stem)
    length = 2 * len(secure.total) - 1
    for member in secure.members:
        masks = random.integers(2**32, size=length, dtype=np.uint32)
        with_masked(run, member, masks, stem)
    assert found(run, "A10").verdict is Verdict.PASS
    with_masked(run, "00001", encoded(np.tile(secure.total, 2)[:length]), stem)
    finding = found(run, "A10")
    assert finding.details["problems"] == [
        "the vector of 00001 in round 0 is not uniform: it is not masked"
    ]


def test_an_update_beside_its_mask_is_caught(summed: Path, plain: Path, tmp_path: Path) -> None:
    """A device that sends its update as without a secure sum."""
    run = copied(summed, tmp_path)
    shutil.copy(plain / f"{STEM}-3.bin", run / f"{STEM}-3.bin")
    finding = found(run, "A12")
    assert finding.verdict is Verdict.FAIL
    assert "a single update in 1 replies" in finding.meaning


def test_the_number_of_examples_in_clear_is_caught(summed: Path, tmp_path: Path) -> None:
    run = copied(summed, tmp_path)
    sealed = ConfigRecord({"payload": b"\0" * 64, "num-examples": 6})
    (run / f"{STEM}-0.bin").write_bytes(message_bytes(RecordDict({"sum": sealed}), 4))
    finding = found(run, "A12")
    assert set(finding.details["found"]) == {"number 'num-examples'"}
    assert finding.verdict is Verdict.FAIL
    assert "number 'num-examples' in 1 replies" in finding.meaning


def test_a_personal_head_in_a_reply_is_caught(plain: Path, tmp_path: Path) -> None:
    run = copied(plain, tmp_path)
    reply = load_subject(run).transcript.rounds[2].received[5]
    more: dict[str, Vector] = {**reply.arrays, "personal.weight": np.zeros((8, 160))}
    extra = Received(reply.pseudonym, more, reply.numbers)
    (run / f"{STEM}-5.bin").write_bytes(reply_bytes(extra))
    finding = found(run, "A12", "individual")
    assert "array 'personal.weight' in 1 replies" in finding.meaning
    assert "egress gate" in finding.change


def test_canaries_in_no_sum_are_no_pass(private: Path, tmp_path: Path) -> None:
    """Directions that nobody sent: an epsilon near 0 that says nothing of the noise."""
    run = copied(private, tmp_path)
    subject = load_subject(run)
    assert subject.canaries is not None
    others = np.random.default_rng(8).normal(size=subject.canaries.shape)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    finding = A8.find(replace(subject, canaries=others), SUM)
    assert finding.verdict is Verdict.NOT_MEASURABLE
    assert "they may have been in no sum" in finding.meaning


def test_a_promise_that_the_run_calls_void_fails(private: Path, tmp_path: Path) -> None:
    run = copied(private, tmp_path)
    claim = read_claim(run, "lab")
    assert claim is not None
    void = ("something left without noise",)
    write_claim(run, "lab", replace(claim, epsilon=math.inf, rounds=0, void=void))
    for view in (SUM, FINAL):
        finding = found(run, "A9", view)
        assert finding.verdict is Verdict.FAIL
        assert "calls it void, since something left without noise" in finding.meaning
    assert found(run, "A8").verdict is Verdict.NOT_MEASURABLE
    told = document(load_subject(run), [], run="run")
    assert (told["claim"]["void"], told["claim"]["epsilon"]) == (list(void), None)
    assert '"epsilon": null' in (run / "privacy.json").read_text()


def test_a_claim_is_about_one_federation(private: Path) -> None:
    assert isinstance(read_claim(private, "lab"), Claim)
    assert read_claim(private, "fold-1") is None

"""Secure sums and claims of noise as a server records them, read back as a transcript."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as MessageProto  # pylint: disable=no-name-in-module

from common.errors import UsageError, WorkError
from common.privacy.release import flat
from server.audit.attacks import a12_metadata
from server.audit.finding import SUM, Verdict
from server.audit.flower_transcript import load_transcript
from server.audit.lab import Lab, play
from server.audit.lab_record import record_lab
from server.audit.recorded import load_subject
from server.audit.recording_format import (
    read_claim,
    read_sum,
    write_claim,
    write_plain,
    write_sum,
)
from server.audit.transcript import Claim, Transcript, file_stem
from server.run import ServerPlan, save_head

TINY = Lab(clients=3, clips=4, other_takes=2, rounds=2, public=1, dimension=6)
VECTOR = np.array([1.5, -2.0, 0.25])
MASKED = {1: np.array([1, 2**32 - 1, 7], dtype=np.uint32), 3: np.zeros(3, dtype=np.uint32)}


def kept(folder: Path) -> None:
    members = {1: "00000", 3: "00002"}
    write_sum(folder, "f-head-1", total=VECTOR, members=members, step=0.5, attempt=2, masked=MASKED)


def test_a_sum_comes_back_as_it_was(tmp_path: Path) -> None:
    kept(tmp_path / "run")
    write_plain(tmp_path / "run", "f-head-1", {1: VECTOR})
    back = read_sum(tmp_path / "run", "f-head-1")
    assert back is not None
    assert (back.members, back.step, back.attempt) == (("00000", "00002"), 0.5, 2)
    assert back.total.tolist() == VECTOR.tolist()
    assert back.masked["00000"].tolist() == [1, 2**32 - 1, 7]
    assert back.plain["00000"].tolist() == VECTOR.tolist()
    assert read_sum(tmp_path / "run", "f-head-2") is None
    assert (tmp_path / "run-truth").stat().st_mode & 0o777 == 0o700


def test_a_later_sum_of_a_round_leaves_the_earlier_one(tmp_path: Path) -> None:
    kept(tmp_path)
    kept(tmp_path)  # the same once more is no other sum
    other = {2: np.arange(3, dtype=np.uint32)}
    for attempt, masked in ((3, other), (4, None)):
        total, members = VECTOR + attempt, {1: "00000", 2: "00001"}
        write_sum(
            tmp_path,
            "f-head-1",
            total=total,
            members=members,
            step=0.5,
            attempt=attempt,
            masked=masked,
        )
    back = read_sum(tmp_path, "f-head-1")
    assert back is not None
    assert (back.attempt, back.members, dict(back.masked)) == (4, ("00000", "00001"), {})
    first, second = back.earlier
    assert (first.attempt, first.members) == (2, ("00000", "00002"))
    assert first.total.tolist() == VECTOR.tolist()
    assert first.masked["00000"].tolist() == [1, 2**32 - 1, 7]
    assert (second.attempt, second.masked["00001"].tolist()) == (3, [0, 1, 2])


def test_an_earlier_sum_gets_the_devices_pseudonyms(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run-truth", tmp_path / "run-truth")
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    as_sums(load_transcript(folder / "run"), run)
    total = load_transcript(run).rounds[1].secure.total  # type: ignore[union-attr]
    write_sum(run, "lab-head-1", total=total, members={1: "1000", 2: "1002"}, step=0.0)
    write_sum(run, "lab-head-1", total=total, members={1: "1001"}, step=0.0)
    secure = load_transcript(run).rounds[1].secure
    assert secure is not None
    assert secure.members == ("00001",)
    assert [each.members for each in secure.earlier][1] == ("00000", "00002")


@pytest.mark.parametrize("part", ["sum", "masked"])
def test_a_damaged_file_is_named(tmp_path: Path, part: str) -> None:
    kept(tmp_path)
    (tmp_path / f"f-head-1-{part}.safetensors").write_bytes(b"short")
    with pytest.raises(WorkError, match=rf"f-head-1-{part}\.safetensors"):
        read_sum(tmp_path, "f-head-1")


@pytest.mark.parametrize(
    "total", [np.array([1.0, np.nan]), np.zeros((1, 3)), np.zeros(4)], ids=["nan", "2-d", "long"]
)
def test_a_sum_that_is_none_is_named(tmp_path: Path, total: np.ndarray) -> None:
    kept(tmp_path)
    write_sum(tmp_path, "f-head-1", total=total, members={1: "00000"}, step=0.5, masked=MASKED)
    with pytest.raises(WorkError, match="f-head-1"):
        read_sum(tmp_path, "f-head-1")


def test_a_sum_without_members_is_named(tmp_path: Path) -> None:
    write_sum(tmp_path, "f-head-1", total=VECTOR, members={}, step=0.5)
    with pytest.raises(WorkError, match="is not a recorded sum"):
        read_sum(tmp_path, "f-head-1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    record_lab(play(TINY), folder / "run")
    return folder


def as_sums(transcript: Transcript, run: Path, *, weighted: bool = False) -> None:
    """What secure aggregation would have left of a plain record."""
    for each in transcript.rounds:
        shapes = transcript.final.specification
        vectors = [flat(shapes, each.stage, reply.arrays) for reply in each.received]
        weights = [float(str(r.numbers["num-examples"])) for r in each.received]
        parts = [
            np.append(w * v, w) if weighted else v for w, v in zip(weights, vectors, strict=True)
        ]
        stem = file_stem(transcript.plan.name, each.stage, each.number)
        members = dict(enumerate(each.members, start=1))
        write_sum(run, stem, total=np.sum(parts, axis=0), members=members, step=0.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_record_of_sums_alone_is_a_transcript(
    folder: Path, tmp_path: Path, weighted: bool
) -> None:
    shutil.copytree(folder / "run-truth", tmp_path / "run-truth")
    whole = load_transcript(folder / "run", "lab")
    as_sums(whole, tmp_path / "run", weighted=weighted)
    summed = load_transcript(tmp_path / "run")
    assert not summed.individual
    assert summed.pseudonyms == whole.pseudonyms
    assert summed.final.arrays["population.weight"] == pytest.approx(
        whole.final.arrays["population.weight"], abs=1e-6
    )


def step_reply(like: Path, extra: dict[str, int]) -> bytes:
    """A message of a secure sum from the node that sent `like`."""
    message = message_from_proto(MessageProto.FromString(like.read_bytes()))
    content = RecordDict({"sum": ConfigRecord({"payload": b"\x00" * 32, **extra})})
    return message_to_proto(Message(content, reply_to=message)).SerializeToString()


@pytest.mark.parametrize(
    ("extra", "verdict"), [({}, Verdict.PASS), ({"num-examples": 16}, Verdict.FAIL)]
)
def test_messages_of_a_secure_sum_are_no_updates(
    folder: Path, tmp_path: Path, extra: dict[str, int], verdict: Verdict
) -> None:
    """Several from one node are right; what stands in them in clear is judged."""
    shutil.copytree(folder / "run-truth", tmp_path / "run-truth")
    run = tmp_path / "run"
    as_sums(load_transcript(folder / "run"), run)
    replies = sorted((folder / "run").glob("lab-head-1-*.bin"))
    for number in range(2 * len(replies)):
        sent = step_reply(replies[number // 2], extra)
        (run / f"lab-head-1-{number}.bin").write_bytes(sent)
    subject = load_subject(run)
    assert not subject.transcript.individual
    outcome = a12_metadata.run(subject, SUM)
    assert outcome.verdict is verdict
    assert ("'num-examples'" in outcome.meaning) == bool(extra)


def test_noise_that_the_server_added_is_found_again(tmp_path: Path) -> None:
    """Single updates are seen; heads and sums are the noised ones. Without these: a clear no."""
    made = play(replace(TINY, noise_multiplier=1.0, clip=1.0))
    record_lab(made, tmp_path / "run")
    back = load_subject(tmp_path / "run")
    assert back.transcript.individual
    assert back.sums[1].weight == pytest.approx(made.sums[1].weight)
    assert back.final.weight == pytest.approx(made.final.weight, abs=1e-5)
    plan = back.transcript.plan
    assert plan.noise_multiplier == 0, "the lab's plan is told apart from its claim"
    for path in (tmp_path / "run").glob("*-noised.safetensors"):
        path.unlink()
    noised = ServerPlan(
        back.transcript.final.specification,
        (replace(plan, noise_multiplier=1.0, clip_norm=1.0),),
        TINY.clients,
    )
    noised.save(tmp_path / "run-truth" / "plan.json")
    with pytest.raises(UsageError, match="the record does not have the noised sum"):
        load_subject(tmp_path / "run")


def test_a_public_reference_is_taken_from_the_record(tmp_path: Path) -> None:
    made = play(TINY)
    record_lab(made, tmp_path / "run")
    for path in (tmp_path / "run").glob("lab-reference-0-*.bin"):
        path.unlink()
    save_head(tmp_path / "run" / "lab-reference.safetensors", made.transcript.rounds[1].head)
    back = load_subject(tmp_path / "run")
    assert back.members == made.members
    assert back.final.weight == pytest.approx(made.final.weight, abs=1e-5)
    centre = made.transcript.final.arrays["reference.centre"]
    assert back.transcript.final.arrays["reference.centre"].tobytes() == centre.tobytes()


CLAIM = Claim(2.68, 0.3, 1e-5, 8, 20)


def test_a_claim_comes_back_beside_others(tmp_path: Path) -> None:
    assert read_claim(tmp_path, "fold-1") is None
    write_claim(tmp_path, "fold-1", CLAIM)
    write_claim(tmp_path, "fold-2", replace(CLAIM, seeded=True))
    assert read_claim(tmp_path, "fold-1") == CLAIM
    assert read_claim(tmp_path, "fold-2") == replace(CLAIM, seeded=True)
    assert read_claim(tmp_path, "fold-3") is None


def test_a_void_claim_comes_back_without_an_epsilon(tmp_path: Path) -> None:
    void = replace(CLAIM, epsilon=math.inf, rounds=0, void=("something left without noise",))
    write_claim(tmp_path, "fold-1", void)
    assert "Infinity" not in (tmp_path / "privacy.json").read_text()
    assert read_claim(tmp_path, "fold-1") == void


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"federations": 3}',
        '{"federations": {"f": {"noise_multiplier": 1}}}',
        '{"federations": {"f": {"noise_multiplier": 0, "clip": 1, "delta": 1, "epsilon": 1, '
        '"rounds": 1}}}',
        '{"federations": {"f": {"noise_multiplier": 1, "clip": 1, "delta": 1, "epsilon": 1, '
        '"rounds": 1, "seeded": "no"}}}',
        '{"federations": {"f": {"noise_multiplier": 1, "clip": 1, "delta": 1, "epsilon": null, '
        '"rounds": 1}}}',
        '{"federations": {"f": 3}}',
    ],
)
def test_a_claim_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "privacy.json").write_text(text)
    with pytest.raises(WorkError, match=r"privacy\.json"):
        read_claim(tmp_path, "f")

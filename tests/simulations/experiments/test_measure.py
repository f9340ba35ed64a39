"""Measurements: the right clips, the device's own methods, the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from client.personalisation import DEFAULT_METHOD, METHODS
from client.personalisation.interface import Fitting
from common.clips import make_clip_set
from common.errors import UsageError
from common.heads.universal import initial_head
from simulations.experiments.groups import allowed, why_no_paper
from simulations.experiments.measure import (
    METHOD_OF,
    HeadTask,
    material,
    measure,
    thinned,
    together,
    views,
)
from simulations.protocols import PAPER
from tests.simulations.experiments.fakes import made_up_input, nameless_input

TASK = HeadTask(
    protocol="by-take", head="logistic", seed=0, rounds=2, user_folds=2, methods=("personal",)
)


def ignore(share: float) -> None:
    assert 0 <= share <= 1


def test_the_papers_protocol_runs_over_both_modalities_and_by_take_over_one() -> None:
    source = made_up_input()
    paper = measure(replace(TASK, protocol=PAPER), source, ignore)
    assert [record["user"] for record in paper["records"]] == ["actor-01", "actor-02"]
    twins = [twin for record in paper["records"] for twin in record["twin"]]
    assert len(twins) == 2 * 5
    assert any(twins)
    taken = measure(TASK, source, ignore)
    assert [record["user"] for record in taken["records"]] == [
        f"actor-{actor:02d}" for actor in (1, 2, 8, 9)
    ]
    assert not any(twin for record in taken["records"] for twin in record["twin"])
    assert all(len(record["labels"]) == 6 for record in taken["records"])


def test_equal_tasks_give_equal_results_and_another_seed_another_split() -> None:
    source = made_up_input()
    methods = tuple(METHOD_OF)
    task = replace(TASK, protocol=PAPER, own_clips=(1, 2), draws=2, common=True, methods=methods)
    one = measure(task, source, ignore)
    assert one == measure(task, source, ignore)
    other = measure(replace(task, seed=1, methods=()), source, ignore)
    assert [r["labels"] for r in other["records"]] != [r["labels"] for r in one["records"]]
    for record in one["records"]:
        for key in (*methods, "common"):
            assert np.shape(record[key]) == (2, 2, len(record["labels"]))


@pytest.mark.parametrize("head", ["single-attention", "self-attention"])
def test_attention_heads_have_no_pooled_ceiling(head: str) -> None:
    found = measure(replace(TASK, head=head, common=True), made_up_input(), ignore)
    assert all("pooled" not in record for record in found["records"])
    assert all(record["common"] for record in found["records"])


def test_a_common_head_of_one_user_is_the_users_own() -> None:
    """Alone in a federation, a user's common and personal heads are from the same clips."""
    source = made_up_input((1, 8, 9))
    task = replace(TASK, protocol=PAPER, own_clips=(2,), draws=3, common=True)
    (record,) = measure(task, source, ignore)["records"]
    assert record["common"] == record["personal"]


def test_clips_of_several_users_are_one_set() -> None:
    ready = material(replace(TASK, protocol=PAPER), made_up_input())
    head = initial_head(ready.specification, 0)
    known = [views(head, ready.clips, split)[0] for split in ready.protocol.splits]
    both = together(known)
    assert len(both) == sum(map(len, known))
    assert torch.equal(both.inputs.user.frames[: len(known[0])], known[0].inputs.user.frames)
    labels = np.concatenate([ready.labels_of(s.adaptation) for s in ready.protocol.splits])
    made = METHODS[DEFAULT_METHOD](both, labels, Fitting())
    assert made.logits(known[1]).shape == (len(known[1]), 8)


def test_long_clips_are_thinned_evenly() -> None:
    frames = np.arange(10, dtype=np.float32)[:, None]
    clips = make_clip_set("ab", "uu", [0, 1], [frames, frames[:2]])
    kept = thinned(clips, 4)
    assert kept.clip(0).ravel().tolist() == [0, 2, 5, 7]
    assert kept.clip(1).ravel().tolist() == [0, 1]
    assert thinned(clips, 10) is clips


def test_chosen_settings_never_see_the_papers_users() -> None:
    """Actors 1 and 2 with labels that say nothing leave what is chosen for them as it was."""
    source = made_up_input((1, 2, 6, 7, 8, 9))
    own = np.isin(np.array(source.clips.users), ["actor-01", "actor-02"])
    labels = np.where(own, 0, source.clips.labels)
    spoilt = replace(source, clips=replace(source.clips, labels=labels))
    task = replace(TASK, protocol=PAPER, chosen=True, methods=(), user_folds=2)
    one, two = (measure(task, each, ignore)["chosen"][PAPER] for each in (source, spoilt))
    assert one["l2"] == two["l2"]
    assert one["evidence"] == two["evidence"]


def test_without_the_papers_actors_its_protocol_is_left_out() -> None:
    source = nameless_input()
    assert allowed((PAPER, "by-take"), source) == ["by-take"]
    assert "RAVDESS" in why_no_paper(source)
    with pytest.raises(UsageError, match="made up: protocol 'paper' is of RAVDESS's actors"):
        allowed((PAPER,), source)

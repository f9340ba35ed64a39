"""Answers, users, clips and releases as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def percent(share: float) -> str:
    """A probability as people read it.

    >>> percent(0.876)
    '88 %'
    """
    return f"{100 * share:.0f} %"


def answer_lines(answer: Row) -> list[str]:
    """One clip's answer: expression, who, which head and why, and what may have spoilt it."""
    ranked = sorted(answer["probabilities"].items(), key=lambda each: -each[1])
    (first, share), (second, less) = ranked[:2]
    likeness = answer["likeness"]
    near = "" if likeness["distance"] is None else f", distance {likeness['distance']:.2f}"
    near += f" (same person below {likeness['threshold']:g})" if near else ""
    kept = f", kept as {answer['clip'][:8]}" if answer["clip"] else ", not kept"
    return [
        f"{answer['name']}: {first} {percent(share)} (then {second} {percent(less)})",
        f"  user: {answer['user']}{near}{kept}",
        f"  head: {answer['head']}; {answer['reason']}",
        *(f"  careful: {warning}" for warning in answer["warnings"]),
    ]


def clip_lines(rows: Sequence[Row]) -> list[str]:
    """One line a clip: id, name, user, what was answered and what the user said."""
    return [
        f"{row['id'][:8]}  {row['name']}  {row['user']}  "
        f"{row['expression']} {percent(row['confidence'])}  {_word(row)}"
        + ("  (another backbone's features)" if row["other_backbone"] else "")
        for row in rows
    ]


def _word(row: Row) -> str:
    if row["label"] is None:
        return "waits for your word"
    return f"corrected to {row['label']}" if row["corrected"] else "confirmed"


def user_lines(rows: Sequence[Row]) -> list[str]:
    """A few lines a user."""
    lines = []
    for row in rows:
        helps = "helps" if row["consent"]["federate"] else "does not help"
        lines += [
            f"{row['name']}, enrolled {row['enrolled'][:10]}, "
            f"{helps} to improve the universal head",
            f"  clips: {row['clips']}, of them {row['labelled']} with your word "
            f"({row['corrected']} corrected), {row['waiting']} waiting"
            + _others(row["other_backbone"]),
            f"  head: {row['head']['kind']}; {row['head']['reason']}",
        ]
        if row["comparison"]:
            lines.append(f"  {row['comparison']['sentence']}")
        if row["due"]:
            lines.append(
                f"  {row['new_corrections']} new correction(s): time for "
                f"`mien personalise {row['name']}`"
            )
    return lines


def _others(count: int) -> str:
    return f"; {count} by another backbone, left out of learning" if count else ""


def personal_lines(done: Row) -> list[str]:
    """What personalising found."""
    lines = [
        f"{done['user']}: {done['head']} head in use; {done['reason']}",
        f"  learnt from {done['learnt_from']} of {done['labelled']} labelled clip(s), known by "
        f"{done['clips']} clip(s){_others(done['other_backbone'])}",
    ]
    if done["comparison"]:
        lines.append(f"  {done['comparison']['sentence']}")
    if done["damaged"]:
        lines.append(f"  {done['damaged']} clip(s) are damaged and were left out")
    if done["answers_changed"]:
        lines.append(f"  {done['answers_changed']} waiting clip(s) are answered differently now")
    return lines


def release_lines(rows: Sequence[Row]) -> list[str]:
    """One line a release, one line for each of its arrays."""
    lines = []
    for number, row in enumerate(rows, start=1):
        when = f"{row['when']}, " if row["when"] else ""
        lines.append(
            f"{number}. {when}{row['federation']}, round {row['round']} ({row['stage']}): "
            f"{row['bytes']} bytes from {_unless(row['clips'], 'an unnamed number of')} clips, "
            f"clip norm {_unless(row['clip_norm'], 'none')}, noise {_unless(row['noise'], 'none')}"
        )
        for array in row["arrays"]:
            shape = " x ".join(map(str, array["shape"]))
            lines.append(f"   {array['name']}  {shape}  {array['bytes']} bytes")
    return lines


def _unless(value: object, missing: str) -> str:
    return missing if value is None else str(value)

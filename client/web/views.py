"""What `client.device.device.Device` tells, as the templates show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from client.recognition.answer import BACKBONE, PERSONAL, UNIVERSAL
from client.web.words import (
    CHOICES,
    UNSURE_BELOW,
    head_words,
    percent,
    sentence,
    size,
    when,
)

_HEADS: Final = {
    UNIVERSAL: "What all devices share",
    BACKBONE: "The built-in network, until there is something better",
}

_IN_USE: Final = "The corrections agree with each other, so what they taught is in use."
_NOT_YET: Final = (
    "It takes a few more corrections, of different expressions, until what they teach is sure."
)
_STAGES: Final = {
    "reference": "Coarse centre and spread",
    "head": "Change of the shared part",
}
"""What leaves, by `common.update`'s stages."""


def clip_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """A clip of the Inbox; from `client.device.described.clip_row`."""
    shares = row["probabilities"]
    sure = percent(row["confidence"])
    word = row["expression"].capitalize()
    label = row["label"]
    facts = [row["user"], row["name"], when(row["added"])]
    if row["head"] == PERSONAL:
        facts.append(f"read in {row['user']}’s own way")
    if row["other_backbone"]:
        facts.append("seen by an earlier network, so nothing is learned from it")
    return {
        "id": row["id"],
        "name": row["name"],
        "guess": row["expression"],
        "word": word,
        "percent": sure,
        "unsure": label is None and row["confidence"] < UNSURE_BELOW,
        "label": label or "",
        "label_note": f"Mien said {row['expression']}, {sure} %"
        if row["corrected"]
        else "Mien was right",
        "corrected": row["corrected"],
        "facts": " · ".join(each for each in facts if each),
        "warnings": [sentence(each) for each in row["warnings"]],
        "bars": {key: percent(shares.get(key, 0.0)) for _, key, _ in CHOICES},
        "user": row["user"],
        "aria": f"{row['name']}: {word}, {sure} percent" + (f", you said {label}" if label else ""),
    }


def person_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """A user; from `client.device.described.user_row`."""
    head = row["head"]
    return {
        "key": row["id"],
        "name": row["name"],
        "since": when(row["enrolled"]),
        "clips": row["clips"],
        "labelled": row["labelled"],
        "waiting": row["waiting"],
        "fresh": row["new_corrections"],
        "due": row["due"],
        "federate": row["consent"]["federate"],
        "head": head_words(head["kind"], row["name"]),
        "personal": head["kind"] == PERSONAL,
        "verdict": (_IN_USE if head["kind"] == PERSONAL else _NOT_YET) if row["comparison"] else "",
        "reason": sentence(head["reason"]),
        "change": change(row["comparison"]),
        "other_backbone": row["other_backbone"],
    }


def change(comparison: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Right answers before and after learning; None where there was nothing to compare."""
    if not comparison or not comparison["clips"] or "sentence" not in comparison:
        return None
    clips = comparison["clips"]
    if clips < 2:
        return None
    return {
        "clips": clips,
        "before": comparison["before"],
        "after": comparison["after"],
        "before_percent": percent(comparison["before"] / clips),
        "after_percent": percent(comparison["after"] / clips),
        "chance": comparison["better"] + comparison["worse"] > 0 and comparison["chance"] >= 0.05,
    }


def personalised(result: Mapping[str, Any]) -> str:
    """What learning from a user's corrections changed; from `client.device.fitting.personalise`."""
    name = result["user"]
    if result["personal"]:
        said = f"Learned. {name}’s clips are now read with what the corrections taught."
    else:
        said = f"Nothing new is in use for {name} yet. {_NOT_YET}"
    compared = change(result["comparison"])
    if compared:
        said += (
            f" Right on {name}’s own clips: {compared['before']} of {compared['clips']} before, "
            f"{compared['after']} now."
        )
    changed = result["answers_changed"]
    if changed:
        said += f" {changed} waiting {'clip has' if changed == 1 else 'clips have'} a new answer."
    return said


def ledger_view(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Releases, newest first, and what they are together; from `described.release_row`."""
    releases = [_release(each) for each in reversed(entries)]
    total = sum(each["bytes"] or 0 for each in entries)
    protected = sum(bool(each["noise"]) for each in entries)
    rounds = {(each["federation"], each["run"], each["round"]) for each in entries}
    totals = [
        ("Times sent", str(len(entries))),
        ("Rounds", str(len(rounds))),
        ("Altogether", size(total)),
        ("With noise", f"{protected} of {len(entries)}"),
    ]
    return {"releases": releases, "totals": totals}


def refusals_view(status: Mapping[str, Any]) -> list[dict[str, str]]:
    """What this device said no to, newest first: when, what, why; from `Device.status`."""
    fleet, declined = status["fleet"], status["exposure"]["declined"]
    told = [*(fleet["refusals"] if fleet else ()), *([declined] if declined else ())]
    newest = sorted(told, key=lambda each: str(each["at"]), reverse=True)
    return [
        {"when": when(str(each["at"])), "what": str(each["about"]), "why": str(each["text"])}
        for each in newest
    ]


def _release(entry: Mapping[str, Any]) -> dict[str, Any]:
    noise, clip = entry["noise"], entry["clip_norm"]
    parts = [f"noise {noise:g}" if noise else "none"]
    if clip:
        parts.append(f"limited to {clip:g}")
    return {
        "when": when(str(entry["when"])),
        "round": entry["round"],
        "stage": _STAGES.get(str(entry["stage"]), str(entry["stage"])),
        "run": entry["run"],
        "noise": ", ".join(parts),
        "size": size(entry["bytes"] or 0),
        "arrays": [
            {
                "name": each["name"],
                "shape": " × ".join(str(length) for length in each["shape"] or ()) or "one number",
                "size": size(each["bytes"] or 0),
            }
            for each in entry["arrays"]
        ],
    }


def about_facts(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The device in a few lines; from `Device.status`."""
    helping = status["taking_part"]
    after = status["personalise_after"]
    facts = [
        ("People", str(status["users"])),
        ("Clips", f"{status['clips']}, {status['waiting']} waiting for a word"),
        ("Answers", _HEADS.get(status["head"], status["head"])),
        ("Learns", f"by itself after {after} {'correction' if after == 1 else 'corrections'}"),
        ("Taking part", ", ".join(helping) or "nobody"),
        ("Sent so far", f"{status['releases']} times" if status["releases"] else "nothing"),
        ("Kept in", status["folder"]),
    ]
    if status["other_backbone"]:
        facts.append(("Resting", f"{status['other_backbone']} clips seen by an earlier network"))
    if status["paused"]:
        facts.insert(5, ("Paused", "yes: nothing leaves this device"))
    return facts

"""The page's words: numbers, times and reasons as a person would say them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from client.recognition.answer import BACKBONE, PERSONAL, UNIVERSAL, UNKNOWN
from common.expressions import EXPRESSIONS

CHOICES: Final = tuple(
    (number, key, key.capitalize()) for number, key in enumerate(EXPRESSIONS, start=1)
)
"""Key on the keyboard, expression, word on the button."""
UNSURE_BELOW: Final = 0.5
"""A likeliest expression that is less likely than all others together."""
GUEST: Final = "Guest"
_HEADS: Final = {
    PERSONAL: "read in {who}’s own way",
    UNIVERSAL: "read as for everyone so far",
    BACKBONE: "read as for everyone so far",
}
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Block:
    """A paragraph (`items` is text) or a list (`items` is a tuple of texts)."""

    items: str | tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """A plain text's paragraphs and lists; lines that begin with "- " are a list's items.

    >>> blocks("What is kept:\\n- a\\n  and b\\n- c\\n\\nThe end.")[1].items
    ('a and b', 'c')
    """
    found: list[Block] = []
    for part in re.split(r"\n\s*\n", text.strip()):
        head, *items = re.split(r"(?:^|\n)- ", part)
        if head.strip():
            found.append(Block(" ".join(head.split())))
        if items:
            found.append(Block(tuple(" ".join(item.split()) for item in items)))
    return found


def sentence(text: str) -> str:
    """A text with a capital at its start and a stop at its end; a file's name stays as it is.

    >>> sentence("no face was seen"), sentence("a.mp4: too short")
    ('No face was seen.', 'a.mp4: too short.')
    """
    text = " ".join(text.split())
    if not text:
        return ""
    first = text.split(" ", 1)[0]
    if first.isalpha():
        text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…" else text + "."


def percent(share: float) -> int:
    """A share 0..1 in whole per cent."""
    return round(100 * min(1.0, max(0.0, float(share))))


def size(count: int) -> str:
    """Bytes in a unit that is easy to read.

    >>> size(900), size(45_600), size(12_000_000)
    ('900 bytes', '45.6 kB', '12 MB')
    """
    number, unit = float(count), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    digits = f"{number:.0f}" if number >= 100 else f"{number:.3g}"
    return f"{digits} {_UNITS[unit]}"


def when(moment: str) -> str:
    """An ISO time as this computer's clock shows it; text that is no time stays as it is."""
    try:
        local = datetime.fromisoformat(moment).astimezone()
    except (ValueError, TypeError, OverflowError):
        return str(moment)
    today = datetime.now().astimezone().date()
    if local.date() == today:
        return f"today, {local:%H:%M}"
    return f"{local.day} {local:%B}" + (f" {local.year}" if local.year != today.year else "")


def who(name: str) -> str:
    """A user's name, or what a guest is called."""
    return GUEST if name == UNKNOWN else name


def head_words(head: str, name: str) -> str:
    """Which head answered, for a user."""
    words = _HEADS.get(head, head).format(who=name)
    return words[:1].upper() + words[1:]


def why(answer: Mapping[str, Any]) -> str:
    """Whose expression it is and what read it, one line."""
    if answer["user"] == UNKNOWN:
        return "A guest, read as for everyone"
    name = str(answer["user"])
    return f"{name}, " + _HEADS.get(answer["head"], "").format(who=name)


def answer_view(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the script shows of `client.recognition.answer.Answer.to_json`."""
    shares = answer["probabilities"]
    return {
        "clip": answer["clip"],
        "who": who(answer["user"]),
        "expression": answer["expression"],
        "word": answer["expression"].capitalize(),
        "percent": percent(shares[answer["expression"]]),
        "choices": [
            {
                "key": key,
                "word": word,
                "percent": percent(shares[key]),
                "share": round(float(shares[key]), 4),
            }
            for _, key, word in CHOICES
        ],
        "moments": [
            {"at": each["seconds"], "parts": each["probabilities"], "box": each["box"]}
            for each in answer["moments"]
        ],
        "why": why(answer),
        "warnings": [sentence(each) for each in answer["warnings"]],
        "final": answer["final"],
    }

"""Planted values, and every form in which they could stand in a message."""

from __future__ import annotations

import base64
import hashlib
import json
import struct

NUMBER = 1234.5678
"""The value of planted features."""
PERSONAL = 4321.8765
"""The value of a planted personal head."""
USER = "Ada-Zyzzyva-Örk"
CLIP = "clip-Quidnunc-77"
SECRET = "error-text-Xylograph"
NAN_BYTES = struct.pack("<I", 0x7FD2A5B7)
"""A float32 that is not a number and carries 22 bits beside that."""


def number_forms(value: float) -> dict[str, bytes]:
    """A number as float32 and float64 of both byte orders, its square root too, and as text."""
    short = struct.unpack("<f", struct.pack("<f", value))[0]
    forms: dict[str, bytes] = {}
    for meaning, number in (("value", value), ("rounded", short), ("root", short**0.5)):
        for sign in (1, -1):
            for layout in ("<f", ">f", "<d", ">d"):
                packed = struct.pack(layout, sign * number)
                forms[f"{meaning} {sign:+d} {layout}"] = packed
        for digits in (2, 3, 4):
            forms[f"{meaning} {digits} digits"] = f"{number:.{digits}f}".encode()
    return forms


def text_forms(text: str) -> dict[str, bytes]:
    """A text in UTF-8, UTF-16, JSON, hex, base64 (any alignment) and hashed."""
    plain = text.encode()
    forms = {
        "utf-8": plain,
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "json": json.dumps(text)[1:-1].encode(),
        "hex": plain.hex().encode(),
        "sha256": hashlib.sha256(plain).digest()[:12],
        "sha256 hex": hashlib.sha256(plain).hexdigest()[:24].encode(),
    }
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        forms[f"base64 {shift}"] = coded[4:-4]
    return forms


def all_forms() -> dict[str, bytes]:
    forms = {"not a number": NAN_BYTES}
    for value in (NUMBER, PERSONAL):
        forms |= {f"{value} {name}": form for name, form in number_forms(value).items()}
    for text in (USER, CLIP, SECRET):
        forms |= {f"{text} {name}": form for name, form in text_forms(text).items()}
    return forms


def found(wire: bytes) -> list[str]:
    """Names of all planted forms that stand in `wire`."""
    return [name for name, form in all_forms().items() if form in wire]

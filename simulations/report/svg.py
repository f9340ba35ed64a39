"""Fits a drawing of matplotlib's SVG backend into a page that holds several."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(drawing: str, key: str, title: str, description: str) -> str:
    """An `<svg>` element with a text alternative, to stand inside HTML.

    Namespaces, metadata, the fixed size and styles that would reach the whole page go; ids that
    something refers to stay, made unique in the page by a prefix.

    Args:
        drawing: a whole SVG document.
        key: unique in the page; letters, digits and hyphens.
        title: short, what is drawn.
        description: what a person would see in it.
    """
    root = ElementTree.fromstring(drawing)
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    kept = _references(root)
    for element in root.iter():
        _localise(element, key, kept)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{key}-title",
        "aria-describedby": f"{key}-desc",
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{key}-{tag}"})
        element.text = text
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _references(root: ElementTree.Element) -> set[str]:
    found: set[str] = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            found.update(_REFERENCE.findall(value))
            if name.endswith("href"):
                found.add(value.removeprefix("#"))
    return found


def _localise(element: ElementTree.Element, key: str, kept: set[str]) -> None:
    element.tag = element.tag.rpartition("}")[2]
    attributes = dict(element.attrib)
    element.attrib.clear()
    for name, value in attributes.items():
        bare = name.rpartition("}")[2]
        if bare == "id":
            if value in kept:
                element.attrib["id"] = f"{key}-{value}"
        elif bare == "href":
            element.attrib["href"] = f"#{key}-{value.removeprefix('#')}"
        else:
            element.attrib[bare] = _REFERENCE.sub(rf"url(#{key}-\1)", value)

"""A page taken apart by the standard library's parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, white space made one blank."""
        return " ".join("".join(self.pieces).split())


class Page(HTMLParser):
    """Builds the tree; a closing tag that does not fit is an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {}, None)
        self.elements: list[Element] = []
        self._open = self.root
        self.feed(html)
        self.close()
        if self._open is not self.root:
            raise ValueError(f"<{self._open.tag}> is not closed")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {k: v or "" for k, v in attrs}, self._open)
        self._open.children.append(element)
        self.elements.append(element)
        if tag not in VOID:
            self._open = element

    def handle_endtag(self, tag: str) -> None:
        if tag != self._open.tag or self._open.parent is None:
            raise ValueError(f"</{tag}> closes <{self._open.tag}>")
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self._open
        while element is not None:
            element.pieces.append(data)
            element = element.parent

    def all(self, *tags: str) -> list[Element]:
        """All elements with one of the tags."""
        return [element for element in self.elements if element.tag in tags]

    def table(self, caption: str) -> list[list[str]]:
        """Cells of the body of the one table whose caption has the words."""
        (found,) = [
            table
            for table in self.all("table")
            if any(caption in c.text for c in table.children if c.tag == "caption")
        ]
        rows = [row for body in found.children if body.tag == "tbody" for row in body.children]
        return [[cell.text for cell in row.children] for row in rows]

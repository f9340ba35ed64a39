"""The pages' HTML: Jinja2 templates from the folder `html`, every value escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from client.web.words import CHOICES, blocks

FOLDER: Final = Path(__file__).parent / "html"
TABS: Final = (
    ("live", "/live", "Live", "M3 7h11v10H3zM14 11l6-3.5v9L14 13"),
    ("inbox", "/inbox", "Inbox", "M4 13 6.5 5h11L20 13v6H4zM4 13h4.5l1 2.5h5l1-2.5H20"),
    (
        "users",
        "/users",
        "People",
        "M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11zM3 19.5c0-3.4 2.6-5.5 6-5.5s6 2.1 6 5.5"
        "M15.5 5a3 3 0 0 1 0 5.8M17.5 14.3c2.2.7 3.5 2.6 3.5 5.2",
    ),
    ("ledger", "/ledger", "What left", "M12 15V4M8 8l4-4 4 4M4 14v6h16v-6"),
    (
        "about",
        "/about",
        "About",
        "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 11.5v5M12 7.8v.2",
    ),
)
"""Page, address, word, drawing in a 24 by 24 square."""


def inline(text: str) -> Markup:
    """Text in which `...` is code; everything else is escaped.

    >>> inline("`mien ledger` & more")
    Markup('<code>mien ledger</code> &amp; more')
    """
    parts = [str(escape(part)) for part in text.split("`")]
    return Markup("".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts)))


class Templates:
    """Renders pages with what all of them share.

    Args:
        csrf: the secret that forms carry.
    """

    def __init__(self, csrf: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(blocks=blocks, inline=inline)
        self._environment.globals.update(
            csrf=csrf, tabs=TABS, expressions=CHOICES, script="talk.js", said=""
        )

    def page(self, name: str, page: str, *, status: int = 200, **words: Any) -> HTMLResponse:
        """A template as a response; `page` says which tab it belongs to."""
        text = self._environment.get_template(name).render(page=page, **words)
        return HTMLResponse(text, status_code=status)

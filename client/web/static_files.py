"""The page's own style sheet, scripts and icon: read once, from a fixed list of names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER: Final = Path(__file__).parent / "static"
_SCRIPT: Final = "text/javascript; charset=utf-8"
KINDS: Final = {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "talk.js": _SCRIPT,
    "avatar.js": _SCRIPT,
    "camera.js": _SCRIPT,
    "live.js": _SCRIPT,
    "inbox.js": _SCRIPT,
    "enrol.js": _SCRIPT,
}


class StaticFiles:
    """Answers `/static/NAME` for the names in `KINDS` and for no other path."""

    def __init__(self) -> None:
        self._contents = {name: (FOLDER / name).read_bytes() for name in KINDS}

    async def get(self, request: Request) -> Response:
        """One file; 404 for any name that is not in the list."""
        name = request.path_params["name"]
        if name not in self._contents:
            raise HTTPException(404)
        return Response(self._contents[name], headers={"content-type": KINDS[name]})

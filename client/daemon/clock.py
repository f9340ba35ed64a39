"""Whether this device's clock agrees with its fleet's server.

A SuperNode signs the time with its requests, and the server takes signatures of a few minutes only.
A device whose clock is off is then sent away without a word of why; the server's own answers carry
its time (HTTP's `Date`), so that the device can say it.
"""

from __future__ import annotations

import http.client
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from client.daemon.settings import Fleet

MOST_SECONDS: Final = 240.0
"""Flower 1.41 takes signatures that are up to 5 minutes old, and a little beyond."""
ANSWER_SECONDS: Final = 5.0


def clock_trouble(fleet: Fleet, now: datetime | None = None) -> str:
    """A sentence if the server's clock is another; empty where it agrees or can't be asked."""
    now = now or datetime.now(UTC)
    told = server_time(fleet)
    if told is None or abs((told - now).total_seconds()) <= MOST_SECONDS:
        return ""
    return (
        f"this device's clock says {now:%Y-%m-%d %H:%M} UTC and the server's "
        f"{told:%Y-%m-%d %H:%M}; set the right one, signatures are good for minutes only"
    )


def server_time(fleet: Fleet) -> datetime | None:
    """What the server's clock says, to the second; None where nothing answers."""
    if fleet.insecure or not fleet.root_certificates:
        return None
    host, _, port = fleet.address.rpartition(":")
    try:
        context = ssl.create_default_context(cafile=fleet.root_certificates)
        connection = http.client.HTTPSConnection(
            host.strip("[]"), int(port), context=context, timeout=ANSWER_SECONDS
        )
        try:
            connection.request("GET", "/")
            date = connection.getresponse().headers.get("Date", "")
        finally:
            connection.close()
        return parsedate_to_datetime(date).astimezone(UTC)
    except (OSError, ValueError, http.client.HTTPException):
        return None

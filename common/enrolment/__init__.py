"""Enrolment: what a device brings to its fleet's server, and the bundle that it takes away."""

from __future__ import annotations

from common.enrolment.bundle import Bundle
from common.enrolment.keys import certificate_request, device_key, read_public_key

__all__ = ["Bundle", "certificate_request", "device_key", "read_public_key"]

"""The fleet's authority: its keys and certificates, and which devices belong to it."""

from __future__ import annotations

from server.authority.authority import Authority
from server.authority.devices import Device, DeviceRegistry
from server.authority.settings import FleetSettings

__all__ = ["Authority", "Device", "DeviceRegistry", "FleetSettings"]

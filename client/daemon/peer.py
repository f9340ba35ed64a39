"""Who is on the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from common.errors import WorkError


def peer_uid(connection: socket.socket) -> int:
    """User id of the process on the other end.

    Raises:
        WorkError: the system does not tell.
    """
    try:
        if hasattr(socket, "SO_PEERCRED"):
            size = struct.calcsize("3i")
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            return int(struct.unpack("3i", told)[1])
        return _getpeereid(connection.fileno())
    except (OSError, AttributeError) as error:
        raise WorkError("the system does not say who is on the device's socket") from error


def _getpeereid(descriptor: int) -> int:
    """The same on macOS and the BSDs."""
    user, group = ctypes.c_uint32(), ctypes.c_uint32()
    if ctypes.CDLL(None).getpeereid(descriptor, ctypes.byref(user), ctypes.byref(group)) != 0:
        raise OSError("getpeereid failed")
    return int(user.value)


def is_own(connection: socket.socket) -> bool:
    """Whether the other end is this user's, or the system administrator's."""
    return peer_uid(connection) in (os.getuid(), 0)

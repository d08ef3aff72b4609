"""Sockets that take connections."""

from __future__ import annotations

import socket

from comity.values.errors import Conflict


def listen(host: str, port: int) -> socket.socket:
    """A socket at this address; port 0 lets the system choose. Raises Conflict when the port is taken."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError as error:
        made.close()
        raise Conflict(f"port {port} of {host} cannot be used ({error.strerror}); give another") from error
    return made


def port_of(listening: socket.socket) -> int:
    """The port it has."""
    return listening.getsockname()[1]

"""The server itself: the socket that it listens at, and how it ends."""

import errno
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from distilkit.errors import UserError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from uvicorn import Server

BACKLOG = 512
"""Connections that may wait to be let in."""
GRACE = 25
"""Seconds that requests under way may take when the server is stopped; those who stop services often wait for 30."""


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound and does not listen yet, so that nobody is let in before the ranker is loaded.

    Raises UserError for a host that is not this machine's, and a port that is in use or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"--host {host}: cannot be found: {error.strerror or error}") from None
    found = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere this would share the port with another program
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            other = "choose another one, or 0 for any that is free"
            raise UserError(f"--port {port}: another program listens there at {host}; {other}") from None
        if error.errno == errno.EACCES:
            raise UserError(f"--port {port}: is not allowed to this user; choose one from 1024") from None
        raise UserError(f"--host {host}: cannot be listened at: {error.strerror}") from None
    return found


def is_loopback(listening: socket.socket) -> bool:
    """Tell whether a socket can be reached from this machine alone."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def url(listening: socket.socket) -> str:
    """Return a socket's address as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(app: "Starlette", listening: socket.socket, announce: Callable[[], object]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered before it returns, a second SIGINT drops them.

    `announce` tells that it serves: whoever is told may stop it at once.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        backlog=BACKLOG,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)
    with _signals_reach(server):
        announce()
        server.run([listening])


@contextmanager
def _signals_reach(server: "Server") -> Iterator[None]:
    """Let a signal end the server before it catches signals itself, and do no harm when it raises that one again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

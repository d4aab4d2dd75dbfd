"""A running session in a browser of this machine: read-only, over loopback, by textual-serve (the extra `browser`).

Whoever knows the token in the address sees the session. It is traded for a cookie that no other site's page can send,
so that a page which happens to be open in the same browser cannot look on.
"""

from __future__ import annotations

import hmac
import secrets
import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from textual_serve.server import Server

HOST = "127.0.0.1"
_COOKIE = "vramp_view"
# The page of textual-serve asks a font of another host; everything that it needs is served here.
_POLICY = "default-src 'self' 'unsafe-inline' data:; connect-src 'self' ws://{host}:{port}"


def command_of(session_id: str, *, stage: bool) -> str:
    """Return the command that each page runs: a view that steers nothing."""
    argv = [sys.executable, "-m", "tui", "attach", session_id, "--read-only", *(["--stage"] if stage else [])]
    return shlex.join(argv)


def _server(command: str, port: int, title: str) -> Any:
    """Return the server as anything, for parts of it are replaced here."""
    return Server(command, host=HOST, port=port, title=title)


class BrowserView:
    """Serves one session until interrupted."""

    def __init__(self, session_id: str, *, port: int, stage: bool) -> None:
        self.token = secrets.token_urlsafe(24)
        self._host_names = (f"{HOST}:{port}", f"localhost:{port}")
        command = command_of(session_id, stage=stage)
        self._server = _server(command, port, f"vramp {session_id}")
        self._policy = _POLICY.format(host=HOST, port=port)
        self._make = self._server._make_app
        self._server._make_app = self._app
        self._server.on_startup = _says_nothing
        self.url = f"http://{HOST}:{port}/?token={self.token}"

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.initialize_logging = lambda: None
        self._server.serve()

    async def _app(self) -> Any:
        async def only_with_token(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
            if request.host not in self._host_names:  # a foreign name that leads here (DNS rebinding)
                raise web.HTTPForbidden(text="this view answers on loopback only")
            if self._knows(request.query.get("token", "")) and request.path == "/":
                answer = web.HTTPFound("/")
                answer.set_cookie(_COOKIE, self.token, httponly=True, samesite="Strict")
                raise answer
            if not self._knows(request.cookies.get(_COOKIE, "")):
                raise web.HTTPForbidden(text="open the address that vramp serve-view printed, with its token")
            answer = await handler(request)
            if not answer.prepared:
                answer.headers["Content-Security-Policy"] = self._policy
                answer.headers["Referrer-Policy"] = "no-referrer"
            return answer

        app = await self._make()
        app.middlewares.append(web.middleware(only_with_token))
        return app

    def _knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())


async def _says_nothing(_: object) -> None:
    pass

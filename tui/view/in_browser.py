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

from aiohttp import web
from textual_serve.server import Server

HOST = "127.0.0.1"
_COOKIE = "vramp_view"
# The page of textual-serve asks a font of another host; everything that it needs is served here.
_POLICY = "default-src 'self' 'unsafe-inline' data:; connect-src 'self' ws://{host}:{port}"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def command_of(session_id: str, *, stage: bool) -> str:
    """Return the command that each page runs: a view that steers nothing."""
    argv = [sys.executable, "-m", "tui", "attach", session_id, "--read-only", *(["--stage"] if stage else [])]
    return shlex.join(argv)


class BrowserView(Server):
    """Serves one session until interrupted (`serve`)."""

    def __init__(self, session_id: str, *, port: int, stage: bool) -> None:
        command = command_of(session_id, stage=stage)
        super().__init__(command, host=HOST, port=port, title=f"vramp {session_id}")
        self.token = secrets.token_urlsafe(24)
        self._host_names = (f"{HOST}:{port}", f"localhost:{port}")
        self._policy = _POLICY.format(host=HOST, port=port)
        self.url = f"http://{HOST}:{port}/?token={self.token}"

    def initialize_logging(self) -> None:
        """Keep the logging of this program as it is."""

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the command has said where it is."""

    async def _make_app(self) -> web.Application:
        @web.middleware
        async def only_with_token(request: web.Request, handler: _Handler) -> web.StreamResponse:
            if request.host not in self._host_names:  # a foreign name that leads here (DNS rebinding)
                raise web.HTTPForbidden(text="this view answers on loopback only")
            if self._knows(request.query.get("token", "")) and request.path == "/":
                found = web.HTTPFound("/")
                found.set_cookie(_COOKIE, self.token, httponly=True, samesite="Strict")
                raise found
            if not self._knows(request.cookies.get(_COOKIE, "")):
                raise web.HTTPForbidden(text="open the address that vramp serve-view printed, with its token")
            answer = await handler(request)
            if not answer.prepared:
                answer.headers["Content-Security-Policy"] = self._policy
                answer.headers["Referrer-Policy"] = "no-referrer"
            return answer

        app = await super()._make_app()
        app.middlewares.append(only_with_token)
        return app

    def _knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())

"""A session in a browser: who is let in, and what the page runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tui.cli import cli
from tui.core.for_a_page import is_for_a_page
from tui.link import launcher


def test_only_textual_serve_makes_the_app_draw_for_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEXTUAL_DRIVER", raising=False)
    assert not is_for_a_page()
    monkeypatch.setenv("TEXTUAL_DRIVER", "os:system")
    assert not is_for_a_page()
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")
    assert is_for_a_page()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    monkeypatch.delitem(sys.modules, "tui.view.in_browser", raising=False)
    found = SimpleNamespace(session_id="s", socket_path=Path("/run/s.sock"))
    monkeypatch.setattr(launcher, "find_running", lambda session: found)
    result = CliRunner().invoke(cli, ["serve-view"])
    assert result.exit_code != 0 and "vramp[browser]" in str(result.exception)


def test_the_page_runs_a_view_that_steers_nothing() -> None:
    in_browser = pytest.importorskip("tui.view.in_browser", exc_type=ImportError)
    argv = shlex.split(in_browser.command_of("a b; rm", stage=True))
    assert argv[1:] == ["-m", "tui", "attach", "a b; rm", "--read-only", "--stage"]


async def test_only_who_knows_the_token_is_let_in_and_only_by_loopbacks_own_names() -> None:
    in_browser = pytest.importorskip("tui.view.in_browser", exc_type=ImportError)
    from aiohttp.test_utils import TestClient, TestServer

    view = in_browser.BrowserView("s", port=8722, stage=True)
    host = {"Host": "127.0.0.1:8722"}
    async with TestClient(TestServer(await view._make_app())) as client:
        for path in ("/", "/ws", "/static/js/textual.js", "/?token=wrong", f"/ws?token={view.token}"):
            assert (await client.get(path, headers=host, allow_redirects=False)).status == 403
        foreign = await client.get(f"/?token={view.token}", headers={"Host": "evil.example"}, allow_redirects=False)
        assert foreign.status == 403
        found = await client.get(f"/?token={view.token}", headers=host, allow_redirects=False)
        cookie = found.headers["Set-Cookie"]
        assert found.status == 302 and "SameSite=Strict" in cookie and "HttpOnly" in cookie
        page = await client.get("/", headers={**host, "Cookie": cookie.partition(";")[0]})
        assert page.status == 200 and "connect-src" in page.headers["Content-Security-Policy"]

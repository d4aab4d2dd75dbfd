"""`vramp serve-view`: a running session in a browser."""

from __future__ import annotations

import click

from tui.core.errors import UsageError
from tui.core.printing import narrate, tell


@click.command(name="serve-view")
@click.argument("session", required=False)
@click.option("--port", type=click.IntRange(1, 65535), default=8722, show_default=True)
@click.option("--panes", is_flag=True, help="Show the panes instead of the presentation screen.")
def serve_view(session: str | None, port: int, panes: bool) -> int:
    """Show a running SESSION in a browser of this machine: read-only, over loopback, until Ctrl-C.

    From elsewhere: ssh -L 8722:127.0.0.1:8722 HOST, then open the printed address there.
    """
    from tui.link.launcher import find_running

    bench = find_running(session)
    try:
        from tui.view.in_browser import BrowserView
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("aiohttp", "textual_serve"):
            raise
        raise UsageError("a view in the browser needs textual-serve: pip install 'vramp[browser]'") from None
    view = BrowserView(bench.session_id, port=port, stage=not panes)
    tell(view.url)
    narrate("whoever has this address sees the session and steers nothing; Ctrl-C ends it")
    view.serve()
    return 0

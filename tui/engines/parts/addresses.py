"""Where a server that vramp launches is to be reached."""

from __future__ import annotations


def base_url(host: str, port: int, *, tls: bool = False) -> str:
    """Return where to reach a server that listens on `host`; every-address hosts are reached by loopback."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound here
    scheme = "https" if tls else "http"
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"

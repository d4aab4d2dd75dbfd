"""Which certificates are believed: one rule for the questions to a server and for the load."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import certifi

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def tls_context(verify: bool) -> ssl.SSLContext:
    """Return the rules of TLS; without `verify` any certificate will do, which only a profile may say.

    Raises ValueError, in words, when the environment names certificates that cannot be read: OpenSSL would go on with
    none, and blame the server.
    """
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif named := [(name, path) for name in _VARIABLES if (path := os.environ.get(name))]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for name, path in named:
            _load(context, name, path)
    else:
        context = ssl.create_default_context()
        # OpenSSL built elsewhere does not find the certificates of every system.
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, name: str, path: str) -> None:
    is_folder = name == "SSL_CERT_DIR"
    try:
        if is_folder and not any(Path(each).is_dir() for each in path.split(os.pathsep)):
            raise FileNotFoundError(None, "No such folder")
        context.load_verify_locations(capath=path) if is_folder else context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise ValueError(f"{name} names certificates that cannot be read: {path[:200]} ({why})") from None

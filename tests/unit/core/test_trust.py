"""Which certificates are believed, in every environment."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from tui.core.trust import tls_context


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def test_by_itself_the_authorities_of_the_public_are_believed() -> None:
    context = tls_context(True)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 50


def test_without_a_check_a_broken_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    assert tls_context(False).verify_mode is ssl.CERT_NONE


def test_a_file_that_is_named_is_all_that_is_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = certifi.contents().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    (tmp_path / "one.pem").write_text(one)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "one.pem"))
    assert tls_context(True).cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("kind", ["stale", "a folder", "empty", "no certificate"])
def test_a_file_that_cannot_be_read_is_named(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cacert.pem"
    if kind == "a folder":
        path.mkdir()
    elif kind != "stale":
        path.write_text("" if kind == "empty" else "hello\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ValueError, match=r"SSL_CERT_FILE names certificates that cannot be read: .*cacert\.pem"):
        tls_context(True)


def test_a_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}/a:{tmp_path}/b")
    with pytest.raises(ValueError, match="SSL_CERT_DIR"):
        tls_context(True)
    (tmp_path / "b").mkdir()
    assert tls_context(True).verify_mode is ssl.CERT_REQUIRED

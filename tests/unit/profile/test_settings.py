from __future__ import annotations

from pathlib import Path

import pytest

from tui.core.errors import UsageError
from tui.profile.settings import Settings, load_settings


def _written(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_a_missing_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.toml") == Settings()


def test_all_keys_are_read(tmp_path: Path) -> None:
    path = _written(
        tmp_path,
        'theme = "ansi-dark"\nrefresh_hz = 1\nascii = true\n[keys]\nleave = "f10"\n'
        '[stage]\nwords = "words"\nwords_per_token = 0.7\n',
    )
    settings = load_settings(path)
    assert (settings.theme, settings.refresh_hz, settings.ascii) == ("ansi-dark", 1.0, True)
    assert settings.keys == {"leave": "f10"}
    assert (settings.stage.words, settings.stage.words_per_token) == ("words", 0.7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thme = 'x'", "thme: unknown key; did you mean 'theme'?"),
        ("[stage]\nword = 'x'", "stage.word: unknown key; did you mean 'words'?"),
        ("refresh_hz = 0", "refresh_hz: found 0; input should be greater than 0"),
        ("ascii = 'yes'", "ascii: found 'yes'; input should be a valid boolean"),
        ("[keys]\nleave = 3", "keys.leave: found 3; input should be a valid string"),
        ("theme = ", "not valid TOML"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_is_expected(tmp_path: Path, text: str, expected: str) -> None:
    path = _written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


def test_all_mistakes_are_told_at_once_and_no_control_character_is_echoed(tmp_path: Path) -> None:
    path = _written(tmp_path, 'theme = 1\n"\\u001b[31mred" = 2\n')
    with pytest.raises(UsageError) as caught:
        load_settings(path)
    assert len(str(caught.value).splitlines()) == 2
    assert "\x1b" not in str(caught.value)


def test_a_file_that_is_no_text_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings(path)

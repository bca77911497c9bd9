from __future__ import annotations

import pytest

from scripts.settings import SettingsError
from scripts.web.settings import load_settings

TOKEN = "a token of some length"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.delenv("LUMBAR_WEB_TOKEN", raising=False)
    path = tmp_path / "web.yaml"
    path.write_text("port: 8051\n")
    return path


def test_the_config_that_ships_binds_to_loopback(root, monkeypatch):
    monkeypatch.delenv("LUMBAR_WEB_TOKEN", raising=False)
    settings = load_settings(root / "configs" / "web.yaml")
    assert settings.host == "127.0.0.1" and settings.loopback and settings.token == "" and settings.servers == ()


def test_the_command_line_comes_before_the_file(config):
    assert load_settings(config, port=9000, language=None).port == 9000
    assert load_settings(config).port == 8051


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "reading-room.example"])
def test_another_address_is_refused_without_a_token(config, monkeypatch, host):
    with pytest.raises(SettingsError, match=r"can be reached from other machines: set LUMBAR_WEB_TOKEN"):
        load_settings(config, host=host)
    monkeypatch.setenv("LUMBAR_WEB_TOKEN", TOKEN)
    assert load_settings(config, host=host).token == TOKEN


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.5"])
def test_loopback_needs_no_token(config, host):
    assert load_settings(config, host=host).loopback


def test_a_token_is_read_from_a_file_and_not_shown(config, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    settings = load_settings(config, host="0.0.0.0", token_file=str(tmp_path / "token"))
    assert settings.token == TOKEN and TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("token: a token of some length\n", "belongs into token_file"),
        ("prot: 80\n", "prot: Extra inputs are not permitted"),
        ("port: many\n", "port: Input should be a valid integer"),
        ("limits: {max_files: 0}\n", "limits.max_files"),
        ("certificate: a.pem\n", "certificate and certificate_key belong together"),
        ("- a\n", "no settings"),
        ("a: [\n", "no valid YAML"),
        ("token_file: /nowhere/at-all\n", "token_file /nowhere/at-all cannot be read"),
        ("servers: [{name: a}]\n", "either dicomweb or ae_title"),
        ("servers: [{name: a, dicomweb: 'ftp://x/'}]\n", "servers.0.dicomweb"),
        ("servers: [{name: a, dicomweb: 'http://x/'}, {name: a, ae_title: B, host: c}]\n", "same name"),
        ("servers: [{name: a, ae_title: B}]\n", "needs host and port"),
    ],
)
def test_what_does_not_fit_is_one_line_that_says_where(config, text, reason):
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_short_token_is_refused(config, monkeypatch):
    monkeypatch.setenv("LUMBAR_WEB_TOKEN", "short")
    with pytest.raises(SettingsError, match="fewer than 16"):
        load_settings(config)

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from scripts.web.app import create_app
from scripts.web.settings import Settings

TOKEN = "a token of some length"


@pytest.fixture
def locked(tmp_path):
    """The application as it is when other machines can reach it."""
    app = create_app(Settings(data_dir=tmp_path / "open", host="0.0.0.0", token=TOKEN, allowed_hosts=("reading-room",)))
    yield TestClient(app, base_url="http://reading-room:8050", follow_redirects=False)
    app.state.web.store.close()


@pytest.mark.parametrize("host", ["127.0.0.1:8050", "localhost:1", "[::1]:8050", "LOCALHOST"])
def test_loopback_s_names_are_answered(client, host):
    assert client.get("/api/info", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5", "", "["])
def test_a_name_that_was_made_to_lead_here_is_not(client, host):
    answer = client.get("/api/info", headers={"host": host})
    assert answer.status_code == 421 and "allowed_hosts" in answer.json()["detail"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8050"])
@pytest.mark.parametrize("path", ["/api/studies/search", "/login"])
def test_another_site_cannot_change_anything(client, origin, path):
    assert client.post(path, json={}, headers={"origin": origin}).status_code == 403


def test_its_own_pages_can(client):
    headers = {"origin": "http://127.0.0.1:8050", "sec-fetch-site": "same-origin"}
    assert client.post("/api/studies/search", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_look_either_but_may_link_to_the_page(client, site):
    assert client.get("/api/studies", headers={"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}).status_code == 403
    assert client.get("/api/studies", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/login", "/api/info", "/api/studies/nothing", "/static/nothing", "/api/openapi.json"]
)
def test_every_answer_has_the_policy_and_is_not_kept(client, path):
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and "unsafe-inline" not in policy["script-src"] + policy["style-src"]
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")


def test_pages_of_the_framework_that_load_scripts_from_elsewhere_are_off(client):
    assert client.get("/docs").status_code == 404 and client.get("/redoc").status_code == 404


def test_with_a_token_nothing_is_told_without_it(locked):
    assert locked.get("/api/studies").status_code == 401
    assert locked.get("/api/openapi.json").status_code == 401
    assert locked.get("/").headers["location"] == "/login"
    assert locked.get("/static/index.html").status_code == 303
    assert locked.get("/login").status_code == 200 and locked.get("/login.css").status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x"])
def test_a_wrong_token_is_refused(locked, header):
    assert locked.get("/api/studies", headers={"authorization": header}).status_code == 401


def test_a_program_sends_the_token_as_bearer(locked):
    assert locked.get("/api/studies", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_browser_exchanges_the_token_for_a_cookie_that_does_not_hold_it(locked):
    wrong = locked.post("/login", data={"token": "wrong"})
    assert wrong.headers["location"] == "/login#wrong" and "set-cookie" not in wrong.headers
    answer = locked.post("/login", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie and "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert locked.get("/api/studies").status_code == 200
    locked.cookies.set("lumbar_session", "f" * 64)
    locked.cookies.clear()
    assert locked.get("/api/studies", cookies={"lumbar_session": "f" * 64}).status_code == 401


def test_bound_to_every_address_it_answers_to_addresses_and_to_allowed_names_alone(locked):
    headers = {"authorization": f"Bearer {TOKEN}"}
    for host, status in (("192.168.1.5:8050", 200), ("reading-room", 200), ("evil.example", 421)):
        assert locked.get("/api/info", headers={**headers, "host": host}).status_code == status


def test_a_question_that_does_not_fit_is_answered_without_repeating_it(client):
    answer = client.post("/api/studies/search", json={"query": "Geheimnis", "limit": "Geheimnis"})
    assert answer.status_code == 422 and "Geheimnis" not in answer.text and answer.json()["detail"].startswith("limit: ")


def test_only_an_upload_may_be_large(client):
    large = {"query": "x" * (1 << 20)}
    assert client.post("/api/studies/search", json=large).status_code == 413
    chunks = (b"x" * 1000 for _ in range(3))
    assert client.post("/api/studies/search", content=chunks).status_code == 411

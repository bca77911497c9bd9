"""Who may ask, and what a browser may do with the answers: host, origin, token, content security policy."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scripts.web.settings import Settings, is_loopback

COOKIE = "lumbar_session"
#: What the page may load: only what comes from this server.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self' blob:; font-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: A report page holds its own styles and pictures, and no script.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
_UPLOAD_PATH = "/api/studies"  # counts its own bytes as they come
_MAX_BODY_BYTES = 1024 * 1024  # of everything else: it is held in memory
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN_PATHS = ("/login", "/login.css")
_HEADERS = {
    "x-content-type-options": "nosniff",
    # "no-referrer" would make a browser send the login form with the origin "null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def session_cookie(token: str) -> str:
    """What the login's cookie holds: it proves the token and does not tell it."""
    return hmac.new(token.encode(), b"lumbar web session", hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(), wanted.encode())


class Guard:
    """Middleware around the whole application.

    - The Host header has to name this server: another site's name that was made to lead here (DNS rebinding) does not.
    - A request that changes something has to come from this server's own pages; other sites may not even look.
    - What is held in memory is small.
    - With a token, everything but the login needs it.

    Args:
        app: what it guards.
        settings: with address, further host names and token.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.hosts = frozenset(_hosts(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _with_headers(refusal, scope, receive, send)
            return
        await _with_headers(self.app, scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "")
        if not self._known(_name(host)):
            return _problem(421, "This server is not known by that name; see allowed_hosts in configs/web.yaml.")
        if not _own_origin(scope, headers, host):
            return _problem(403, "This request comes from another site.")
        if scope["path"] != _UPLOAD_PATH and (refusal := _too_much(headers)) is not None:
            return refusal
        if self.settings.token and scope["path"] not in _OPEN_PATHS and not self._knows_token(headers):
            if scope["path"].startswith("/api/"):
                return _problem(401, "A token is needed: log in again.", {"www-authenticate": "Bearer"})
            return RedirectResponse("/login", status_code=303)
        return None

    def _known(self, name: str) -> bool:
        # Bound to every address, it may be called by any of them; only a name can be made to lead here by somebody else.
        return name in self.hosts or (_is_address(self.settings.host, wildcard=True) and _is_address(name))

    def _knows_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return same(given.strip(), self.settings.token)
        return same(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""), session_cookie(self.settings.token))


def _hosts(settings: Settings) -> Iterable[str]:
    yield from (name.lower() for name in settings.allowed_hosts)
    yield settings.host.strip("[]").lower()
    if is_loopback(settings.host):
        yield from ("localhost", "127.0.0.1", "::1")


def _name(host: str) -> str:
    """The name or address in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(host: str, wildcard: bool = False) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_unspecified if wildcard else True


def _own_origin(scope: Scope, headers: Headers, host: str) -> bool:
    """Whether a request comes from this server's own pages or from no page at all."""
    site = headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin"):
        # A link or a bookmark may lead here from anywhere; nothing else may.
        return scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate" and scope["path"] in ("/", "/login")
    origin = headers.get("origin")
    if scope["method"] in _SAFE_METHODS or origin is None:
        return True
    return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _too_much(headers: Headers) -> ASGIApp | None:
    if "transfer-encoding" in headers:
        return _problem(411, "This request has to say how long it is.")
    if int(headers.get("content-length", 0)) > _MAX_BODY_BYTES:
        return _problem(413, "This request is too large.")
    return None


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


async def _with_headers(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("content-security-policy", PAGE_POLICY)
            headers.setdefault("cache-control", "no-cache" if scope["path"].startswith("/static/") else "no-store")
        await send(message)

    await app(scope, receive, guarded)

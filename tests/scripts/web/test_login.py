from __future__ import annotations

from tests.scripts.web.browsing import chromium
from tests.scripts.web.serving import Page

TOKEN = "a token of some length"


def test_a_person_logs_in_with_the_token_in_a_real_browser(root, tmp_path):
    page = Page(root, tmp_path / "data", {"host": "0.0.0.0"}, {"LUMBAR_WEB_TOKEN": TOKEN}).start()
    try:
        with chromium() as browser:
            tab = browser.new_context().new_page()
            tab.goto(page.url)
            assert tab.url == f"{page.url}/login" and not tab.is_visible("#wrong")
            tab.fill("#token", "another token altogether")
            tab.keyboard.press("Enter")
            tab.wait_for_url(f"{page.url}/login#wrong")
            assert tab.is_visible("#wrong")
            tab.fill("#token", TOKEN)
            tab.keyboard.press("Enter")
            tab.wait_for_url(f"{page.url}/")
            assert tab.evaluate("fetch('/api/studies').then((answer) => answer.status)") == 200
            assert not tab.evaluate("document.cookie")
    finally:
        page.stop()

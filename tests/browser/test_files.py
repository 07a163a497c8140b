"""A file goes from one person's browser to another's, and nothing in it runs there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, Route

from tests.support.stack import Stack
from tests.support.story import Market, ok

NAME = 'Entwurf – "böse".html'
# It would ask for a path of its own as soon as it runs.
HTML = b"<!doctype html><title>A plan</title><script>fetch('/it-runs')</script><img src=x onerror=fetch('/it-runs')>"
FORM = "<!doctype html><form><input type=file name=file></form>"
UPLOAD = """
async ([url, authorization]) => {
  const body = new FormData(document.querySelector("form"));
  const response = await fetch(url, { method: "POST", headers: { Authorization: authorization }, body });
  return [response.status, await response.json()];
}
"""


def signed_in(browser: Browser, client: httpx.Client) -> BrowserContext:
    """Return a context whose requests carry the token of a client, as an app's own would."""
    return browser.new_context(extra_http_headers={"Authorization": client.headers["authorization"]})


@pytest.fixture
def sent(page: Page, stack: Stack, market: Market) -> dict[str, Any]:
    """Upload a file in the buyer's browser, and send it to the seller."""
    page.route("**/a-form", lambda route: route.fulfill(body=FORM, content_type="text/html"))
    page.goto(f"{stack.url}/a-form")
    page.set_input_files("input", files=FilePayload(name=NAME, mimeType="text/html", buffer=HTML))

    status, file = page.evaluate(UPLOAD, [f"{stack.url}/api/files", market.buyer.headers["authorization"]])

    assert status == 201, file
    message = {"gigId": market.gig()["id"], "text": "The plan", "fileIds": [file["fileId"]]}
    ok(market.buyer.post("/api/conversations", json=message), 201)
    return dict(file)


def test_the_other_side_downloads_it_under_its_name(
    browser: Browser, stack: Stack, market: Market, sent: dict[str, Any], tmp_path: Path
) -> None:
    assert (sent["name"], sent["type"], sent["size"]) == (NAME, "text/html", len(HTML))
    with signed_in(browser, market.seller) as context:
        page = context.new_page()
        page.goto(f"{stack.url}/docs")
        with page.expect_download() as started:
            page.evaluate("url => { location.href = url }", f"{stack.url}/api/files/{sent['fileId']}")

        download = started.value
        download.save_as(tmp_path / "plan")
        # Chromium replaces what no file system takes.
        assert download.suggested_filename.replace("_", '"') == NAME
        assert (tmp_path / "plan").read_bytes() == HTML
        # The page is still the one before: nothing was opened.
        assert page.url.endswith("/docs")


def test_nothing_in_it_runs_even_when_it_is_shown(
    browser: Browser, stack: Stack, market: Market, sent: dict[str, Any]
) -> None:
    """As if a browser did not know attachments: the policy alone is left."""
    asked: list[str] = []

    def without(route: Route, *names: str) -> None:
        response = route.fetch()
        headers = {name: value for name, value in response.headers.items() if name not in names}
        route.fulfill(response=response, headers=headers)

    url = f"{stack.url}/api/files/{sent['fileId']}"
    with signed_in(browser, market.seller) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.route(url, lambda route: without(route, "content-disposition"))
        page.goto(url)
        page.wait_for_timeout(500)
        assert not [each for each in asked if each.endswith("/it-runs")]

        # The file does run where there is no policy, so the test could fail.
        page.unroute(url)
        page.route(url, lambda route: without(route, "content-disposition", "content-security-policy"))
        page.goto(url)
        page.wait_for_timeout(500)
        assert [each for each in asked if each.endswith("/it-runs")]

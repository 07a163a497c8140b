"""The page /docs in a real browser: a reader pastes a token and calls the API with "try it"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page

from tests.support.pictures import a_jpeg
from tests.support.stack import Stack
from tests.support.story import a_name


@pytest.fixture
def docs(page: Page, stack: Stack) -> Iterator[Page]:
    """Open /docs. Afterwards there must have been no error and no request to anywhere else."""
    errors: list[str] = []
    addresses: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # The browser itself notes each 4xx of a call.
        if message.type == "error" and not message.location["url"].startswith(f"{stack.url}/api/"):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(f"{stack.url}/docs")
    page.locator("#operations-GigService-CreateGig").wait_for()

    yield page

    assert errors == []
    assert [each for each in addresses if not each.startswith((stack.url, "data:", "blob:"))] == []


def authorize(docs: Page, token: str) -> None:
    docs.get_by_role("button", name="Authorize").first.click()
    docs.locator(".auth-container input").fill(token)
    docs.locator(".auth-container button[type=submit]").click()
    docs.locator(".auth-container .btn-done").click()


def open_operation(docs: Page, service: str, rpc: str) -> Locator:
    operation = docs.locator(f"#operations-{service}-{rpc}")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation


def execute(operation: Locator) -> tuple[str, Any]:
    """Send the request that the form has. Return the status and the body of the response."""
    operation.get_by_role("button", name="Execute").click()
    response = operation.locator(".live-responses-table tr.response")
    body = json.loads(response.locator(".highlight-code code").first.inner_text())
    return response.locator(".response-col_status").inner_text().split()[0], body


def test_a_reader_creates_a_gig_and_adds_a_picture(docs: Page, stack: Stack) -> None:
    name = a_name("seller")
    authorize(docs, stack.token(name, "seller"))

    status, created = execute(open_operation(docs, "GigService", "CreateGig"))

    assert status == "201"
    assert created["title"] == "Professional Website Development"

    upload = open_operation(docs, "ImageService", "UploadImages")
    upload.get_by_placeholder("gigId").fill(created["id"])
    upload.locator("input[type=file]").set_input_files(
        {"name": "gig.jpg", "mimeType": "image/jpeg", "buffer": a_jpeg()}
    )
    status, uploaded = execute(upload)

    assert status == "201"
    gig = stack.client().get(f"/api/gigs/{created['id']}").json()
    assert gig["seller"]["username"] == name
    assert [image["id"] for image in gig["images"]] == [image["id"] for image in uploaded["images"]]


def test_a_reader_without_a_token_searches_and_is_told_what_needs_one(docs: Page) -> None:
    status, found = execute(open_operation(docs, "GigService", "SearchGigs"))
    assert status == "200"
    assert set(found) >= {"results", "total"}

    status, refused = execute(open_operation(docs, "GigService", "CreateGig"))
    assert (status, refused["code"]) == ("401", "UNAUTHORIZED")

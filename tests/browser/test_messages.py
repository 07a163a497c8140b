"""Messages in a real browser: one page sends a message with a file, and another one hears of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, FilePayload, Page

from tests.browser.conftest import TIMEOUT_MILLISECONDS
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market

FORM = '<form><input type="file" name="file"></form>'
# Uploads the form's file, and starts a conversation with it.
SEND = """
async ([url, authorization, gigId]) => {
  const headers = { Authorization: authorization };
  const body = new FormData(document.querySelector("form"));
  const file = await (await fetch(url + "/api/files", { method: "POST", headers, body })).json();
  const started = await fetch(url + "/api/conversations", {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify({ gigId, text: "Here is our plan", fileIds: [file.fileId] }),
  });
  return [started.status, await started.json()];
}
"""
# Watches until a message comes. A stream is read by fetch, since EventSource sends no token.
WATCH = """
async ([url, authorization]) => {
  const response = await fetch(url + "/api/watch", { headers: { Authorization: authorization } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the stream has ended: " + text);
    text += value;
    if (text.includes("id:")) window.isWatching = true;
    const found = text.match(/event: message\\n(?:id: .*\\n)?data: (.*)\\n/);
    if (found) {
      await reader.cancel();
      return JSON.parse(found[1]);
    }
  }
}
"""


@pytest.fixture
def form(page: Page, stack: Stack) -> Page:
    """Open a page with a form for a file."""
    page.goto(f"{stack.url}/docs")
    page.set_content(FORM)
    return page


def test_a_page_sends_a_file_in_a_message_and_the_other_side_hears_of_it(
    form: Page, browser: Browser, stack: Stack, market: Market
) -> None:
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MILLISECONDS)
    sellers = context.new_page()
    sellers.goto(f"{stack.url}/docs")
    sellers.evaluate(f"([url, token]) => {{ window.heard = ({WATCH})([url, token]); }}", [
        stack.url, market.seller.headers["authorization"],
    ])  # fmt: skip
    # Not `wait_for_function`: the page's policy lets no text be run later.
    eventually(lambda: sellers.evaluate("window.isWatching"))

    form.set_input_files("input", files=FilePayload(name="plan.txt", mimeType="text/plain", buffer=b"Our plan"))
    arguments = [stack.url, market.buyer.headers["authorization"], market.gig()["id"]]
    status, conversation = form.evaluate(SEND, arguments)

    heard = sellers.evaluate("window.heard")
    assert status == 201
    assert heard["text"] == "Here is our plan"
    assert heard["conversationId"] == conversation["id"]
    [file] = heard["files"]
    assert (file["name"], file["size"], file["type"]) == ("plan.txt", len(b"Our plan"), "text/plain")
    context.close()

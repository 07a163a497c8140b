"""Every route that the protos name, one by one: method, token, service, status."""

from __future__ import annotations

import re

import httpx
import pytest

from edge import contract
from edge.bootstrap import cluster_of
from marketplace.conversation.v1 import conversation_pb2
from tests.support import protos
from tests.support.edge import Edge, assert_refused

CONTRACT = contract.load()
ROUTES = CONTRACT.routes
PATHS = CONTRACT.paths()
ID = "0190A000-0000-7000-8000-00000000000F"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "NONSENSE")


def at(path: str) -> str:
    """Return a path for a template."""
    return re.sub(r"\{[^}]*\}", ID, path)


def send(
    api: httpx.Client, route: contract.Route, headers: dict[str, str] | None = None, method: str = ""
) -> httpx.Response:
    """Send a request for a route, with an empty body where the route has one."""
    if route.upload:
        headers = {**(headers or {}), "content-type": "image/jpeg"}
        return api.request(method or route.method, at(route.path), content=b"x", headers=headers)
    return api.request(method or route.method, at(route.path), json={} if route.body else None, headers=headers)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_leads_to_its_rpc_and_back(edge: Edge, api: httpx.Client, route: contract.Route) -> None:
    response = send(api, route, edge.bearer())

    assert response.status_code == route.status, response.text
    [arrived] = edge.upstreams[cluster_of(route.service)][0].received
    assert arrived.rpc == route.rpc
    for name in re.findall(r"\{([^}]*)\}", route.path):
        assert getattr(arrived.request, name) == ID
    assert edge.received() == 1


@pytest.mark.parametrize(("is_new", "status"), [(True, 201), (False, 200)])
def test_a_response_that_says_whether_it_created_something_decides_the_status(
    edge: Edge, api: httpx.Client, is_new: bool, status: int
) -> None:
    text = '{"isNew":true},"isNew":false}'
    conversation = conversation_pb2.Conversation(id=ID, last_message=conversation_pb2.Message(text=text))
    [route] = [each for each in ROUTES if each.rpc == "StartConversation"]
    [conversations, *_] = edge.upstreams[cluster_of(route.service)]
    conversations.responses["StartConversation"] = lambda _request, _context: (
        conversation_pb2.StartConversationResponse(conversation=conversation, is_new=is_new)
    )

    response = send(api, route, edge.bearer())

    assert response.status_code == status
    assert (response.json()["id"], response.json()["lastMessage"]["text"]) == (ID, text)
    assert "isNew" not in response.json()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_asks_for_a_token_where_not_anyone_may_call(
    edge: Edge, api: httpx.Client, route: contract.Route
) -> None:
    response = send(api, route)

    if route.needs_token:
        assert_refused(response, 401, "UNAUTHORIZED")
        assert edge.received() == 0
    else:
        assert response.status_code == route.status


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_bad_token_is_refused_on_every_route(edge: Edge, api: httpx.Client, route: contract.Route) -> None:
    assert_refused(send(api, route, {"Authorization": "Bearer a.b.c"}), 401, "UNAUTHORIZED")
    assert edge.received() == 0


@pytest.mark.parametrize(("path", "allowed"), PATHS.items(), ids=list(PATHS))
def test_another_method_on_a_known_path_is_a_405_that_lists_those_it_knows(
    edge: Edge, api: httpx.Client, path: str, allowed: list[str]
) -> None:
    for method in METHODS:
        if method not in allowed:
            response = api.request(method, at(path))
            assert response.status_code == 405, method
            assert response.headers["allow"] == ", ".join(allowed)
            if method != "HEAD":
                assert_refused(response, 405, "METHOD_NOT_ALLOWED")
    assert edge.received() == 0


@pytest.mark.parametrize(("path", "allowed"), PATHS.items(), ids=list(PATHS))
def test_options_on_a_known_path_lists_its_methods(
    edge: Edge, api: httpx.Client, path: str, allowed: list[str]
) -> None:
    response = api.options(at(path))

    assert response.status_code == 204
    assert response.headers["allow"] == ", ".join(allowed)
    assert response.content == b""
    assert edge.received() == 0


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method == "GET"], ids=lambda route: route.name)
def test_head_answers_wherever_get_does(edge: Edge, api: httpx.Client, route: contract.Route) -> None:
    response = send(api, route, edge.bearer(), "HEAD")

    assert response.status_code == 200
    assert response.content == b""
    assert edge.received() == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("change", ["{}/", "/{}", "{}//", "/x{}", "{}/x/y/z"])
def test_a_path_spelt_otherwise_is_unknown(edge: Edge, api: httpx.Client, path: str, change: str) -> None:
    assert_refused(api.get(edge.url + change.format(at(path)), headers=edge.bearer()), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_other_letter_case_is_unknown(edge: Edge, api: httpx.Client, path: str) -> None:
    for other in (path.replace("/api", "/API"), "/".join(part.title() for part in path.split("/"))):
        assert_refused(api.get(at(other), headers=edge.bearer()), 404, "NOT_FOUND")


@pytest.mark.parametrize("token", ["Bearer a.b.c", "nonsense"])
def test_methods_are_answered_before_the_token_is_looked_at(edge: Edge, api: httpx.Client, token: str) -> None:
    headers = {"Authorization": token}

    assert api.options("/api/orders", headers=headers).status_code == 204
    assert_refused(api.put("/api/orders", headers=headers), 405, "METHOD_NOT_ALLOWED")
    assert_refused(api.get("/api/nothing", headers=headers), 404, "NOT_FOUND")


def test_options_on_an_unknown_path_is_a_404(api: httpx.Client) -> None:
    assert_refused(api.options("/api/nothing"), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", protos.METHODS)
def test_no_rpc_can_be_reached_by_its_own_name_but_by_grpc_web(edge: Edge, api: httpx.Client, path: str) -> None:
    for kind in ("application/grpc", "application/grpc+proto", "application/json"):
        headers = {"content-type": kind, "te": "trailers", **edge.bearer()}
        response = api.post(path, content=b"\0\0\0\0\0", headers=headers)
        assert_refused(response, 404, "NOT_FOUND")
    assert edge.received() == 0

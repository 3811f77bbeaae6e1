"""The Model Context Protocol by its own client, over a real socket."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr

from tests import servers
from tests.twin.drafts import verifier
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.drafting import DraftingBackend
from tests.twin.serving.replicas import Scribe
from tests.twin.serving.scripted import TEXT, ScriptedBackend
from twin.domain.api_key import ApiKey, Right, key_digest, new_key_text
from twin.domain.draft import MOST_POINTS
from twin.serving.access import Keys
from twin.serving.asking import Asking
from twin.serving.mcp_routes import McpEndpoint

ANSWER = TEXT.strip()


@asynccontextmanager
async def connected(url: str, key: str = KEY, **options) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), **options) as client,
    ):
        yield client


def called(url: str, tool: str, arguments: dict, key: str = KEY, **options):
    async def call():
        async with connected(url, key, **options) as client:
            # As assistants do; else the client does it after its call, which may have used the
            # last of its key's tokens.
            await client.list_tools()
            return await client.call_tool(tool, arguments)

    return asyncio.run(call())


def words(result) -> str:
    assert result.is_error
    return result.content[0].text


@pytest.fixture(scope="module")
def scripted():
    with served(ScriptedBackend()) as url:
        yield url


def test_the_tools_say_what_they_take(scripted):
    async def listed():
        async with connected(scripted) as client:
            return client.server_info, await client.list_tools()

    server, found = asyncio.run(listed())
    assert server.name == "llm-twin"
    tools = {tool.name: tool for tool in found.tools}
    assert tools.keys() == {"search", "ask", "draft"}
    for tool in tools.values():
        assert tool.description
        assert "sources" in tool.output_schema["properties"]
    for name in ("search", "ask"):
        taken = tools[name].input_schema
        assert taken["required"] == ["question"]
        assert taken["properties"].keys() == {"question", "k", "model", "filter"}
    taken = tools["draft"].input_schema
    assert taken["required"] == ["topic"]
    wishes = {"topic", "kind", "length", "language", "notes", "outline", "model", "filter"}
    assert taken["properties"].keys() == wishes


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_answer_has_its_sources_and_what_none_of_them_says(scripted, mode):
    """By the protocol without a handshake, and by the older one with it."""
    answer = called(scripted, "ask", {"question": "Why?"}, mode=mode).structured_content
    assert answer["answer"] == ANSWER
    assert [source["number"] for source in answer["sources"]] == [1, 2]
    assert answer["sources"][0]["url"] == "https://ann.example/whales"
    assert "nine cats" in answer["unsupported"][0]
    assert len(answer["unsupported"]) == 2
    assert not answer["refused"]


def test_search_and_ask_run_the_real_chain(endpoint):
    asked = {"question": "Why is every job a pod?", "k": 2, "model": "twin-tiny"}
    found = called(endpoint, "search", asked).structured_content
    assert [source["number"] for source in found["sources"]] == [1, 2]
    assert found["answerable"]
    answer = called(endpoint, "ask", asked).structured_content
    assert answer["sources"] == found["sources"]
    none = called(endpoint, "search", asked | {"filter": {"languages": ["zh"]}})
    assert none.structured_content["sources"] == []


@pytest.fixture(scope="module")
def drafting():
    with served(DraftingBackend(verifier())) as url:
        yield url


def test_a_draft_is_what_the_route_of_its_name_writes(drafting):
    wish = {
        "topic": "Why every job runs in a pod",
        "kind": "newsletter",
        "length": "short",
        "language": "German",
        "notes": "Be kind.",
        "outline": ["What a pod states"],
        "filter": {"languages": ["en"]},
    }
    draft = called(drafting, "draft", wish).structured_content
    headers = {"Authorization": f"Bearer {KEY}"}
    by_route = httpx.post(f"{drafting}/v1/drafts", json=wish, headers=headers, timeout=30).json()
    assert draft["draft"] == by_route["answer"]
    assert draft["draft"].startswith("# Why every job runs in a pod\n\n## What a pod states")
    assert draft["outline"] == by_route["draft"]["outline"] == wish["outline"]
    assert draft["copied_share"] == by_route["draft"]["copied_share"] > 0
    assert draft["sources"][0]["text"] == by_route["sources"][0]["text"]
    assert not draft["refused"]
    assert len(draft["unsupported"]) == sum(not each["supported"] for each in by_route["sentences"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"topic": " "}, "topic: must not be blank"),
        ({"topic": "Why?", "kind": "poem"}, "kind"),
        ({"topic": "Why?", "notes": "x" * 5_000}, "5,000 characters"),
        ({"topic": "Why?", "outline": [f"point {n}" for n in range(MOST_POINTS + 1)]}, "outline"),
        ({}, "topic"),
    ],
)
def test_a_refused_draft_is_the_tools_error(drafting, arguments, says):
    assert says in words(called(drafting, "draft", arguments))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"question": " "}, "question: must not be blank"),
        ({"question": "x" * 5_000}, "5,000 characters"),
        ({"question": "busy"}, "too many requests are waiting"),
        ({"question": "Why?", "model": "nobody"}, "no model 'nobody'"),
        ({"question": "Why?", "k": 21}, "k"),
        ({"question": "Why?", "filter": {"colour": "red"}}, "colour"),
        ({}, "question"),
    ],
)
def test_a_refusal_is_the_tools_error_in_plain_words(scripted, arguments, says):
    assert says in words(called(scripted, "ask", arguments))


def test_a_defect_tells_nothing_of_itself(scripted):
    said = words(called(scripted, "ask", {"question": "breaks"}))
    assert said == "Error executing tool ask"


def test_before_and_after_the_process_serves_it_is_unavailable(monkeypatch):
    endpoint = McpEndpoint(Asking(ScriptedBackend(), None), 1_000)
    monkeypatch.delitem(sys.modules, "twin.serving.mcp_tools")
    request = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Accept": "application/json, text/event-stream"}

    async def asked():
        transport = httpx.ASGITransport(endpoint)
        async with httpx.AsyncClient(transport=transport, base_url="http://twin") as client:

            async def ping():
                return (await client.post("/mcp", json=request, headers=headers)).status_code

            before = await ping()
            async with endpoint.running():
                assert "twin.serving.mcp_tools" not in sys.modules, "nobody has asked yet"
                together = await asyncio.gather(ping(), ping())
            return [before, *together, await ping()]

    assert asyncio.run(asked()) == [503, 200, 200, 503]


def test_without_a_key_nothing_is_read(scripted):
    refused = httpx.post(f"{scripted}/mcp", content=b"{not json")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert refused.headers["www-authenticate"] == "Bearer"
    with pytest.raises((MCPError, httpx2.HTTPError, ExceptionGroup)):
        called(scripted, "ask", {"question": "Why?"}, key="wrong")


def keys_with(text: str, **more) -> Keys:
    keys = Keys([SecretStr(KEY)])
    keys.replace([ApiKey.model_validate({
        "id": "one", "name": "one", "created": "2026-01-01T00:00:00Z", "created_by": "ada",
        "secrets": [{"digest": key_digest(text), "created": "2026-01-01T00:00:00Z"}], **more,
    })])  # fmt: skip
    return keys


def test_a_key_asks_its_own_twins_within_its_limits():
    text = new_key_text()
    keys = keys_with(text, rights=[Right.ASK], twins=["twin-a"], limits={"tokens_per_day": 1})
    with served(Scribe(), keys=keys) as url:
        said = words(called(url, "ask", {"question": "Why?", "model": "twin-b"}, key=text))
        assert "may not ask 'twin-b'" in said
        asked = called(url, "ask", {"question": "Why?"}, key=text)
        assert asked.structured_content["model"] == "twin-a"
        headers = {"Authorization": f"Bearer {text}"}
        refused = httpx.post(f"{url}/mcp", json={}, headers=headers)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "insufficient_quota"


def test_a_key_without_the_right_to_ask_is_refused():
    text = new_key_text()
    with served(ScriptedBackend(), keys=keys_with(text, rights=[Right.FEEDBACK])) as url:
        refused = httpx.post(f"{url}/mcp", json={}, headers={"Authorization": f"Bearer {text}"})
        assert refused.status_code == 403


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_that_goes_away_ends_its_answer(mode):
    backend = ScriptedBackend()
    with served(backend) as url:

        async def leave():
            async with connected(url, mode=mode) as client:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await client.call_tool("ask", {"question": "slow"})

        asyncio.run(leave())
        servers.wait_until(lambda: backend.left == 1, "the answer to be left")


def test_a_body_that_is_too_large_is_refused(scripted):
    headers = {"Authorization": f"Bearer {KEY}", "content-type": "application/json"}
    refused = httpx.post(f"{scripted}/mcp", content=b" " * 400_000, headers=headers)
    assert refused.status_code == 413

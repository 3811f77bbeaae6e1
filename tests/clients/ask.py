"""Ask an endpoint by the clients of this environment; prints what each has understood, as JSON.

Run by tests/twin/serving/test_other_clients.py: python ask.py URL KEY MODEL
"""

import json
import sys


def langchain(url: str, key: str, model: str) -> dict[str, object]:
    from langchain_openai import ChatOpenAI
    from openai import NotFoundError

    twin = ChatOpenAI(base_url=url, api_key=key, model=model, max_retries=0)
    told = twin.invoke([("system", "Be brief."), ("human", "Why?")])
    streamed = "".join(part.content for part in twin.stream("Why?"))
    try:
        twin.model_copy(update={"model_name": "nobody"}).invoke("Why?")
        refused = ""
    except NotFoundError as error:
        refused = str(error)
    return {
        "text": told.content,
        "streamed": streamed,
        "tokens": told.usage_metadata["total_tokens"],
        "refused": refused,
    }


def llama_index(url: str, key: str, model: str) -> dict[str, object]:
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike
    from openai import NotFoundError

    common = {
        "api_base": url, "api_key": key, "is_chat_model": True,
        "is_function_calling_model": False, "max_retries": 0,
    }  # fmt: skip
    twin = OpenAILike(model=model, **common)
    messages = [ChatMessage(role="user", content="Why?")]
    told = twin.chat(messages)
    streamed = "".join(part.delta or "" for part in twin.stream_chat(messages))
    completed = twin.complete("Why?").text
    try:
        OpenAILike(model="nobody", **common).chat(messages)
        refused = ""
    except NotFoundError as error:
        refused = str(error)
    return {
        "text": told.message.content,
        "streamed": streamed,
        "completed": completed,
        "tokens": told.raw.usage.total_tokens,
        "refused": refused,
    }


def litellm(url: str, key: str, model: str) -> dict[str, object]:
    import litellm as library

    common = {"api_base": url, "api_key": key, "num_retries": 0}
    messages = [{"role": "user", "content": "Why?"}]
    told = library.completion(model=f"openai/{model}", messages=messages, **common)
    parts = library.completion(model=f"openai/{model}", messages=messages, stream=True, **common)
    streamed = "".join(part.choices[0].delta.content or "" for part in parts)
    embedded = library.embedding(model=f"openai/{model}", input=["a"], **common)
    try:
        library.completion(model="openai/nobody", messages=messages, **common)
        refused = ""
    except library.NotFoundError as error:
        refused = str(error)
    return {
        "text": told.choices[0].message.content,
        "streamed": streamed,
        "tokens": told.usage.total_tokens,
        "dimension": len(embedded.data[0]["embedding"]),
        "refused": refused,
    }


if __name__ == "__main__":
    url, key, model = sys.argv[1:]
    clients = {"langchain": langchain, "llama_index": llama_index, "litellm": litellm}
    print(json.dumps({name: ask(url, key, model) for name, ask in clients.items()}))

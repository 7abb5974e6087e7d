"""What the Python libraries make of streams that are silent for a while, each with its usual way to carry the key."""

import os
from concurrent.futures import ThreadPoolExecutor

import anthropic
import httpx
import ollama
import openai
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

url, key = os.environ["URL"], os.environ["KEY"]
question = [{"role": "user", "content": "Say hello."}]


def with_ollama(model):
    client = ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"})
    return "".join(part.message.content for part in client.chat(model=model, messages=question, stream=True))


def openai_client():
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def with_openai_chat(model):
    chunks = openai_client().chat.completions.create(model=model, messages=question, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def is_http2(response):
    assert response.http_version == "HTTP/2", response.http_version


def with_openai_over_http2(model):
    # HTTP/2 in clear, begun without an upgrade.
    http2 = httpx.Client(http1=False, http2=True, event_hooks={"response": [is_http2]})
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http2)
    chunks = client.chat.completions.create(model=model, messages=question, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def with_openai_completions(model):
    chunks = openai_client().completions.create(model=model, prompt="Say hello.", stream=True)
    return "".join(chunk.choices[0].text for chunk in chunks)


def with_openai_responses(model):
    events = openai_client().responses.create(model=model, input="Say hello.", stream=True)
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def with_anthropic(model):
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
    with client.messages.stream(model=model, max_tokens=8, messages=question) as stream:
        return "".join(stream.text_stream)


def with_anthropic_token(model):
    client = anthropic.Anthropic(base_url=url, auth_token=key, max_retries=0)
    with client.messages.stream(model=model, max_tokens=8, messages=question) as stream:
        return stream.get_final_text()


def with_langchain_ollama(model):
    chat = ChatOllama(model=model, base_url=url, client_kwargs={"headers": {"Authorization": f"Bearer {key}"}})
    return "".join(chunk.text for chunk in chat.stream("Say hello."))


def with_langchain_openai(model):
    chat = ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=key, max_retries=0)
    return "".join(chunk.text for chunk in chat.stream("Say hello."))


# Each client, and the error that it raises for one of the upstream's.
CLIENTS = {
    with_ollama: ollama.ResponseError,
    with_openai_chat: openai.APIError,
    with_openai_over_http2: openai.APIError,
    with_openai_completions: openai.APIError,
    with_openai_responses: openai.APIError,
    with_anthropic: anthropic.APIError,
    with_anthropic_token: anthropic.APIError,
    with_langchain_ollama: ollama.ResponseError,
    with_langchain_openai: openai.APIError,
}


def check(client, raised):
    said = client("slow")
    assert said == "Hello there", f"{client.__name__}: {said!r}"
    try:
        said = client("broken")
    except raised as error:
        assert "no memory" in str(error), f"{client.__name__}: {error!r}"
    else:
        raise AssertionError(f"{client.__name__}: no error, but {said!r}")


with ThreadPoolExecutor(len(CLIENTS)) as pool:
    for outcome in [pool.submit(check, *pair) for pair in CLIENTS.items()]:
        outcome.result()

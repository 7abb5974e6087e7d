// What the JavaScript libraries make of streams that are silent for a while, each with its usual way to carry the key.

import assert from "node:assert";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";

const { URL: url, KEY: key } = process.env;
const messages = [{ role: "user", content: "Say hello." }];
const openai = () => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });

async function joined(parts, text) {
  let said = "";
  for await (const part of parts) said += text(part) ?? "";
  return said;
}

const clients = {
  async ollama(model) {
    const client = new Ollama({ host: url, headers: { Authorization: `Bearer ${key}` } });
    return joined(await client.chat({ model, messages, stream: true }), (part) => part.message.content);
  },
  async openai_chat(model) {
    const chunks = await openai().chat.completions.create({ model, messages, stream: true });
    return joined(chunks, (chunk) => chunk.choices[0].delta.content);
  },
  async openai_completions(model) {
    const chunks = await openai().completions.create({ model, prompt: "Say hello.", stream: true });
    return joined(chunks, (chunk) => chunk.choices[0].text);
  },
  async openai_responses(model) {
    const events = await openai().responses.create({ model, input: "Say hello.", stream: true });
    return joined(events, (event) => (event.type === "response.output_text.delta" ? event.delta : ""));
  },
  async anthropic(model) {
    const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
    const stream = client.messages.stream({ model, max_tokens: 8, messages });
    return stream.finalText();
  },
};

async function check([name, client]) {
  assert.equal(await client("slow"), "Hello there", name);
  await assert.rejects(client("broken"), /no memory/, name);
}

await Promise.all(Object.entries(clients).map(check));

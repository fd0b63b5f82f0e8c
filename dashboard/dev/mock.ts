/** Serves the story under /v1 of the development server. Never part of a build. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import { Story } from "./story.ts";

const EVENT_INTERVAL_MS = 3_000;

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === "" ? undefined : JSON.parse(text);
}

function stream(response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(": open\n\n");
  const names = ["instance", "alarm", "activity", "cost"];
  const timer = setInterval(() => {
    for (const name of names) response.write(`event: ${name}\ndata: {}\n\n`);
  }, EVENT_INTERVAL_MS);
  response.on("close", () => clearInterval(timer));
}

export function mockApi(): Plugin {
  const story = new Story(Date.now, { isEmpty: process.env.MOCK_API === "empty" });
  return {
    name: "mock-api",
    configureServer(server) {
      server.middlewares.use("/v1", async (request, response) => {
        const url = new URL(request.url ?? "/", "http://localhost");
        if (url.pathname === "/stream") return stream(response);
        const answer = story.answer(request.method ?? "GET", url.pathname, url.searchParams, await readJson(request));
        response.writeHead(answer.status, { "Content-Type": "application/json" });
        response.end(answer.body === undefined ? "" : JSON.stringify(answer.body));
      });
    },
  };
}

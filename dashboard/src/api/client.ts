/** The one way to the native API: typed by its OpenAPI, with the CSRF token, a time limit, and errors as problems. */
import createClient, { type Middleware } from "openapi-fetch";
import { ApiProblem } from "./problem";
import type { paths } from "./schema";

const REQUEST_TIME_LIMIT_MS = 20_000;
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

let csrfToken = "";
let onSignedOut: () => void = () => {};

export function setCsrfToken(token: string): void {
  csrfToken = token;
}

/** Say what happens when the API answers 401 to anything but the session resource itself. */
export function setSignedOutListener(listener: () => void): void {
  onSignedOut = listener;
}

const session: Middleware = {
  onRequest({ request }) {
    if (!SAFE_METHODS.has(request.method) && csrfToken) request.headers.set("X-CSRF-Token", csrfToken);
    return request;
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && schemaPath !== "/session") onSignedOut();
  },
};

async function boundedFetch(request: Request): Promise<Response> {
  const limit = AbortSignal.timeout(REQUEST_TIME_LIMIT_MS);
  try {
    return await fetch(request, { signal: AbortSignal.any([request.signal, limit]) });
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw ApiProblem.unreachable();
  }
}

export const api = createClient<paths>({
  baseUrl: `${window.location.origin}/v1`,
  headers: { Accept: "application/json" },
  fetch: boundedFetch,
});
api.use(session);

/** Return the body of a good answer, or throw the problem that the API described. */
export async function bodyOf<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw ApiProblem.fromAnswer(response, error);
  return data as T;
}

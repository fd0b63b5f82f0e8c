/** What went wrong with a request: an RFC 9457 problem, or a network that does not answer. */

export class ApiProblem extends Error {
  /** HTTP status; 0 where nothing answered. */
  readonly status: number;
  /** The API's own sentence, if it gave one. */
  readonly detail: string;

  constructor(status: number, detail: string) {
    super(detail || `HTTP ${status}`);
    this.name = "ApiProblem";
    this.status = status;
    this.detail = detail;
  }

  static unreachable(): ApiProblem {
    return new ApiProblem(0, "");
  }

  static fromAnswer(response: Response, body: unknown): ApiProblem {
    const problem = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
    const sentence = [problem.detail, problem.title].find((text) => typeof text === "string" && text !== "");
    return new ApiProblem(response.status, typeof sentence === "string" ? sentence : "");
  }

  /** Whether asking again may help: the network, an overload or a restart, but not a refusal. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Whether nothing answered at all, as when the API is down or the network is lost. */
export const isUnreachable = (error: unknown): boolean => error instanceof ApiProblem && error.status === 0;

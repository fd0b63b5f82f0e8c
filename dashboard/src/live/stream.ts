/**
 * The live stream of changes: server-sent events with reconnection.
 *
 * The browser reconnects by itself after a broken connection, but gives up for good after an HTTP error (a restart behind a proxy,
 * say); then we open a new one with growing pauses. While the stream is away its state is "polling", and the pages ask instead.
 */

export const LIVE_EVENTS = ["instance", "alarm", "activity", "cost"] as const;
export type LiveEvent = (typeof LIVE_EVENTS)[number];
export type LiveState = "connecting" | "live" | "polling";

const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 30_000;

/** The pause before attempt n (from 0): doubling to a limit, spread by `random` (0 to 1) so that all tabs do not come back at once. */
export function pauseBeforeAttempt(attempt: number, random: number): number {
  const pause = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(attempt, 10));
  return Math.round(pause * (0.75 + random * 0.5));
}

export interface StreamListener {
  onState(state: LiveState): void;
  onEvent(event: LiveEvent): void;
  /** The stream is open again after an absence: whatever happened meanwhile is unknown. */
  onReturn(): void;
}

export class LiveStream {
  private source: EventSource | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private wasAway = false;

  constructor(
    private readonly url: string,
    private readonly listener: StreamListener,
    private readonly open: (url: string) => EventSource = (address) => new EventSource(address),
  ) {}

  start(): void {
    this.stop();
    const source = this.open(this.url);
    this.source = source;
    source.onopen = () => this.onOpen();
    source.onerror = () => this.onError(source);
    for (const name of LIVE_EVENTS) source.addEventListener(name, () => this.listener.onEvent(name));
  }

  stop(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
  }

  /** Try at once, because the network or the page has come back; an open stream is left alone. */
  hurry(): void {
    if (this.source?.readyState === EventSource.OPEN) return;
    this.attempt = 0;
    this.start();
  }

  /** A request got no answer: an open stream may be dead too, since a lost network ends no connection. Open another and see. */
  doubt(): void {
    if (this.source?.readyState !== EventSource.OPEN) return;
    this.lose();
    this.start();
  }

  /** Leave the connection to others for as long as nobody looks; a browser has only six for a server, over all its tabs. */
  rest(): void {
    this.lose();
    this.stop();
  }

  private lose(): void {
    this.wasAway = true;
    this.listener.onState("polling");
  }

  private onOpen(): void {
    this.attempt = 0;
    this.listener.onState("live");
    if (this.wasAway) this.listener.onReturn();
    this.wasAway = false;
  }

  private onError(source: EventSource): void {
    this.lose();
    if (source.readyState !== EventSource.CLOSED) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.start(), pauseBeforeAttempt(this.attempt, Math.random()));
    this.attempt += 1;
  }
}

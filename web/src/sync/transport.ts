/** The HTTP half of the protocol: what is asked, with which token, and what an answer other than 200 means. */

import type { ApiError, Command, CommandResult, SnapshotPage, Window } from "./types";
import type { Snapshot } from "./store";

/** A request that has no answer in this time (ms) has failed. */
const PATIENCE = 30_000;

export interface AccessToken {
  readonly value: string;
  /** When it expires, ms since 1970; left out where it does not. */
  readonly expiresAt?: number;
}

/** Where access tokens come from. Both reject with `SignedOut` where the user has to sign in again. */
export interface Tokens {
  /** The one in use. */
  current(): Promise<AccessToken>;
  /** Another one in place of `refused`; the one in use where that is another one already. */
  renew(refused: AccessToken): Promise<AccessToken>;
}

/** The server answered with an error. */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(
    readonly status: number,
    readonly error: ApiError,
    /** How long to wait, in ms, where the server said so. */
    readonly retryAfter: number | null,
  ) {
    super(error.message);
  }
}

/** No answer: whether the request arrived is unknown. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** No token is to be had without the user. */
export class SignedOut extends Error {
  override readonly name = "SignedOut";
}

export interface TransportOptions {
  /** The origin of the API, "" for that of the page. */
  readonly url: string;
  readonly tokens: Tokens;
  readonly fetch?: typeof fetch;
  /** Now, in ms since 1970. */
  readonly now?: () => number;
}

export class Transport {
  private readonly fetch: typeof fetch;
  private readonly now: () => number;
  private renewing: Promise<AccessToken> | null = null;

  constructor(private readonly options: TransportOptions) {
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.now = options.now ?? Date.now;
  }

  /** What changed after `after`. Raises Refused, Unreachable, SignedOut, as all of these do. */
  async window(after: number, signal: AbortSignal): Promise<Window> {
    const answer = (await this.ask(`/api/sync?after=${after}`, signal)) as Partial<Window>;
    return { ...answer, changes: answer.changes ?? [], seq: answer.seq ?? after };
  }

  /** Everything. What changes while its pages are read comes with the windows after its `seq`. */
  async snapshot(signal: AbortSignal): Promise<Snapshot> {
    const [tasks, tags] = [new Map<string, Snapshot["tasks"][number]>(), new Map<string, Snapshot["tags"][number]>()];
    let path = "/api/sync";
    for (;;) {
      const page = (await this.ask(path, signal)) as SnapshotPage;
      page.tasks.forEach((task) => tasks.set(task.id, task));
      page.tags.forEach((tag) => tags.set(tag.id, tag));
      if (page.next_cursor === null) {
        return { tasks: [...tasks.values()], tags: [...tags.values()], seq: page.seq };
      }
      path = `/api/sync?cursor=${encodeURIComponent(page.next_cursor)}`;
    }
  }

  /** Sends commands, in order. There may be fewer results: what has none was not carried out, or not yet. */
  async send(commands: readonly Command[], signal: AbortSignal): Promise<readonly CommandResult[]> {
    const body = {
      sent_at: new Date(this.now()).toISOString(),
      commands: commands.map(({ key, call, made_at }) => ({ key, function: call.function, input: call.input, made_at })),
    };
    const answer = await this.ask("/api/commands", signal, body);
    return (answer as { results: readonly CommandResult[] }).results;
  }

  token(): Promise<AccessToken> {
    return this.options.tokens.current();
  }

  /** Another token in place of one that was refused or is about to expire. Callers at once share one request. */
  renew(refused: AccessToken): Promise<AccessToken> {
    this.renewing ??= this.options.tokens.renew(refused).finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  private async ask(path: string, signal: AbortSignal, body?: unknown): Promise<unknown> {
    const token = await this.token();
    const answer = await this.request(path, token, signal, body);
    if (answer.status !== 401) {
      return this.checked(answer);
    }
    return this.checked(await this.request(path, await this.renew(token), signal, body));
  }

  private async request(path: string, token: AccessToken, signal: AbortSignal, body: unknown): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${token.value}`, Accept: "application/json" };
    const init: RequestInit = { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]), cache: "no-store" };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      Object.assign(init, { method: "POST", body: JSON.stringify(body) });
    }
    try {
      return await this.fetch(this.options.url + path, init);
    } catch (error) {
      throw new Unreachable("no answer", { cause: error });
    }
  }

  private async checked(answer: Response): Promise<unknown> {
    let body: unknown;
    try {
      body = await answer.json();
    } catch (error) {
      if (answer.ok) {
        throw new Unreachable("the answer broke off", { cause: error });
      }
    }
    // A batch that was cut short answers 503 with the results that there are.
    if (answer.ok || (answer.status === 503 && isBatch(body))) {
      return body;
    }
    if (answer.status === 401) {
      throw new SignedOut("the token is refused");
    }
    const error = isError(body) ? body : { code: 2, message: `status ${answer.status}`, details: [] };
    throw new Refused(answer.status, error, retryAfter(answer.headers.get("Retry-After"), this.now()));
  }
}

/** The wait that a Retry-After header asks for, in ms: seconds, or a date (RFC 9110 section 10.2.3). */
export function retryAfter(value: string | null, now: number): number | null {
  if (value === null || value.trim() === "") {
    return null;
  }
  const wait = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(wait) ? null : Math.max(0, wait);
}

function isBatch(body: unknown): boolean {
  return typeof body === "object" && body !== null && "results" in body && Array.isArray(body.results);
}

function isError(body: unknown): body is ApiError {
  return typeof body === "object" && body !== null && "code" in body && "message" in body && "details" in body;
}

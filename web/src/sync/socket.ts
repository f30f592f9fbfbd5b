/** The live half of the protocol: one WebSocket that comes back by itself, and tells what it hears in order. */

import { Backoff } from "./backoff";
import type { BackoffOptions } from "./backoff";
import { SignedOut } from "./transport";
import type { AccessToken } from "./transport";
import type { Change } from "./types";

/** The hub says something every 20 s: silence of this long (ms) means that the connection is gone. */
const SILENCE = 45_000;
/** A connection that has held so long (ms) has the waits begin anew. */
const STABLE = 10_000;
/** How long before it expires a token is replaced (ms); a short-lived one at half of its time. */
const EARLY = 60_000;
/** A token with less time than this (ms) is not worth connecting with. */
const SHORT = 2_000;
/** The longest wait of a timer (ms): a signed 32-bit number. */
const LONGEST = 2 ** 31 - 1;

const UNAUTHENTICATED = 4401;
const RESET = 4409;

/** The part of the browser's WebSocket that is used, so that another implementation may stand in. */
export interface SocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketMaker = new (url: string) => SocketLike;

export interface LiveOptions {
  readonly url: string;
  readonly WebSocket: SocketMaker;
  /** Brings the state up to date before each connection, and answers the seq to go on from. */
  readonly catchUp: () => Promise<number>;
  readonly token: () => Promise<AccessToken>;
  readonly renew: (refused: AccessToken) => Promise<AccessToken>;
  readonly onChange: (change: Change) => void;
  /** The hub is at this seq. */
  readonly onHeartbeat: (seq: number) => void;
  /** The log in between is gone: the next `catchUp` has to load everything. */
  readonly onReset: () => void;
  readonly onConnected: (connected: boolean) => void;
  /** Nothing more is attempted until `wake`: the user has to sign in. */
  readonly onSignedOut: () => void;
  readonly backoff?: BackoffOptions;
  readonly now?: () => number;
}

export class Live {
  private socket: SocketLike | null = null;
  private authenticated: AccessToken | null = null;
  private refused: AccessToken | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private stable: ReturnType<typeof setTimeout> | undefined;
  private expiry: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff: Backoff;
  private readonly now: () => number;
  private connecting = false;
  private closed = false;

  constructor(private readonly options: LiveOptions) {
    this.backoff = new Backoff(options.backoff);
    this.now = options.now ?? Date.now;
  }

  /** Connects at once where it waited to: the network is back, or the user has signed in. */
  wake(): void {
    if (this.closed || this.socket || this.connecting) {
      return;
    }
    this.backoff.reset();
    void this.connect();
  }

  /** Lets the connection go and connects anew when the wait is over: the network is known to be gone. */
  drop(): void {
    if (this.socket) {
      this.lost(this.socket, null);
    }
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.release();
  }

  private async connect(): Promise<void> {
    clearTimeout(this.retry);
    this.connecting = true;
    try {
      const after = await this.options.catchUp();
      const token = await this.fresh();
      if (!this.closed) {
        this.open(token, after);
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.connecting = false;
    }
  }

  /** The token to connect with: another one than what the hub has refused. */
  private async fresh(): Promise<AccessToken> {
    const token = await this.options.token();
    const used = this.refused?.value === token.value || this.expiring(token) ? await this.options.renew(token) : token;
    this.refused = null;
    return used;
  }

  private open(token: AccessToken, after: number): void {
    const socket = new this.options.WebSocket(this.options.url);
    this.socket = socket;
    this.listen(socket);
    socket.onopen = () => {
      // In a message and not in the URL, which would be in logs.
      socket.send(JSON.stringify({ type: "auth", token: token.value, after }));
      this.authenticate(token);
      this.stable = setTimeout(() => {
        this.backoff.reset();
      }, STABLE);
      this.options.onConnected(true);
    };
    socket.onmessage = (event: { data: unknown }) => {
      if (this.socket === socket) {
        this.listen(socket);
        this.hear(event.data);
      }
    };
    socket.onclose = (event: { code: number }) => {
      this.lost(socket, event.code);
    };
    // What follows an error is a close.
    socket.onerror = () => undefined;
  }

  /** Gives up a connection on which nothing is heard. */
  private listen(socket: SocketLike): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      this.lost(socket, null);
    }, SILENCE);
  }

  private hear(data: unknown): void {
    let message: { type?: unknown; seq?: unknown; latest?: unknown };
    try {
      message = JSON.parse(String(data)) as typeof message;
    } catch {
      return; // Nothing of ours.
    }
    if (message.type === "reset") {
      this.options.onReset();
    } else if (message.type === "heartbeat") {
      this.options.onHeartbeat(Number(message.latest));
    } else if (typeof message.seq === "number") {
      this.options.onChange(message as Change);
    }
  }

  /** Replaces the token on the open connection before it expires. */
  private authenticate(token: AccessToken): void {
    this.authenticated = token;
    clearTimeout(this.expiry);
    if (token.expiresAt === undefined) {
      return;
    }
    const left = token.expiresAt - this.now();
    const wait = Math.max(1000, left > 2 * EARLY ? left - EARLY : left / 2);
    this.expiry = setTimeout(() => void this.prolong(token), Math.min(wait, LONGEST));
  }

  private async prolong(token: AccessToken): Promise<void> {
    const socket = this.socket;
    try {
      const current = await this.options.token();
      const next = current.value === token.value ? await this.options.renew(token) : current;
      if (socket && socket === this.socket) {
        socket.send(JSON.stringify({ type: "auth", token: next.value }));
        this.authenticate(next);
      }
    } catch {
      // The hub closes when the token expires; then there is another attempt.
    }
  }

  private expiring(token: AccessToken): boolean {
    return token.expiresAt !== undefined && token.expiresAt - this.now() <= SHORT;
  }

  private lost(socket: SocketLike, code: number | null): void {
    if (this.closed || this.socket !== socket) {
      return;
    }
    if (code === UNAUTHENTICATED) {
      this.refused = this.authenticated;
    } else if (code === RESET) {
      this.options.onReset();
    }
    this.release();
    this.again(null);
  }

  private failed(error: unknown): void {
    if (this.closed) {
      return;
    }
    if (error instanceof SignedOut) {
      this.options.onSignedOut();
    } else {
      this.again(error);
    }
  }

  private again(error: unknown): void {
    const asked = error instanceof Object && "retryAfter" in error ? (error.retryAfter as number | null) : null;
    this.retry = setTimeout(() => void this.connect(), this.backoff.next(asked));
  }

  private release(): void {
    const socket = this.socket;
    this.socket = null;
    [this.watchdog, this.stable, this.expiry].forEach(clearTimeout);
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      this.options.onConnected(false);
    }
  }
}

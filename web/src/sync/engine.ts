/** What the leading tab does: drains the queue, keeps the state up to date, and holds the socket. */

import { Backoff } from "./backoff";
import type { BackoffOptions } from "./backoff";
import type { Database, Touched } from "./database";
import { Log } from "./log";
import { isSettled, settle, take } from "./queue";
import { Live } from "./socket";
import type { SocketMaker } from "./socket";
import { Refused, SignedOut, Unreachable } from "./transport";
import type { Transport } from "./transport";
import type { CommandResult } from "./types";

/** How many commands POST /api/commands takes. */
const BATCH = 200;
/** Statuses of a whole batch that mean that one of its commands, or its size, is at fault. */
const UNFIT = new Set([400, 413, 422]);

export interface EngineStatus {
  /** The socket is open. */
  readonly connected: boolean;
  readonly syncing: boolean;
  /** When everything was last sent and up to date, ms since 1970; null for never since the start. */
  readonly lastSynced: number | null;
  /** false: the user has to sign in again; `wake` then goes on. */
  readonly signedIn: boolean;
}

export interface EngineOptions {
  readonly database: Database;
  readonly transport: Transport;
  readonly socketUrl: string;
  readonly WebSocket: SocketMaker;
  /** false: there is no network for sure, and nothing is attempted. */
  readonly isOnline: () => boolean;
  readonly onTouched: (touched: Touched) => void;
  readonly onStatus: (status: EngineStatus) => void;
  readonly backoff?: BackoffOptions;
  readonly now: () => number;
}

export class Engine {
  private readonly stopping = new AbortController();
  private readonly backoff: Backoff;
  private readonly log: Log;
  private readonly live: Live;
  status: EngineStatus = { connected: false, syncing: false, lastSynced: null, signedIn: true };
  private pumping = false;
  private pumpAgain = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private notBefore = 0;

  constructor(private readonly options: EngineOptions) {
    const { transport, backoff = {}, now } = options;
    this.backoff = new Backoff(backoff);
    this.log = new Log({
      database: options.database,
      transport,
      signal: this.stopping.signal,
      onTouched: options.onTouched,
      onCaughtUp: () => {
        this.tell({ lastSynced: now() });
      },
      onFailed: (error) => {
        this.failed(error);
      },
    });
    this.live = new Live({
      url: options.socketUrl,
      WebSocket: options.WebSocket,
      catchUp: () => this.log.catchUp(),
      token: () => transport.token(),
      renew: (refused) => transport.renew(refused),
      onChange: (change) => {
        this.log.hear(change);
      },
      onHeartbeat: (seq) => {
        this.log.compare(seq);
        this.kick(); // A tab that died may have queued a command that it never told of.
      },
      onReset: () => {
        this.log.reset();
      },
      onConnected: (connected) => {
        this.tell({ connected });
      },
      onSignedOut: () => {
        this.tell({ signedIn: false });
      },
      backoff,
      now,
    });
  }

  start(): void {
    this.live.wake();
    this.kick();
  }

  /** There may be something to send. While a wait is on it is sent after that. */
  kick(): void {
    if (this.retry === undefined) {
      void this.pump();
    }
  }

  /** The network is back, or the user has signed in: nothing is waited for but what the server asked for. */
  wake(): void {
    this.tell({ signedIn: true });
    this.live.wake();
    this.backoff.reset();
    this.later(this.notBefore - this.options.now());
  }

  /** The network is gone. */
  drop(): void {
    this.live.drop();
  }

  /** Ends everything; what is on its way is given up, and repeated under the same keys by whoever leads next. */
  async stop(): Promise<void> {
    this.stopping.abort();
    clearTimeout(this.retry);
    this.live.close();
    await this.log.idle();
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  private async pump(): Promise<void> {
    if (this.pumping) {
      this.pumpAgain = true;
      return;
    }
    if (this.stopped || !this.options.isOnline()) {
      return; // What has not been sent may still be merged with what follows.
    }
    this.pumping = true;
    this.tell({ syncing: true });
    try {
      do {
        await this.flush();
        if (this.log.behind) {
          await this.log.catchUp();
        }
      } while (this.askedAgain());
      this.backoff.reset();
    } catch (error) {
      this.failed(error);
    } finally {
      this.pumping = false;
      this.tell({ syncing: false });
    }
  }

  private askedAgain(): boolean {
    const again = this.pumpAgain;
    this.pumpAgain = false;
    return again;
  }

  /** Sends what is queued, in order. Raises Refused, Unreachable and SignedOut; what was not settled stays. */
  private async flush(): Promise<void> {
    const { database, transport, now, onTouched } = this.options;
    let limit = BATCH;
    for (;;) {
      const batch = await take(database, limit);
      if (batch.length === 0) {
        return;
      }
      let results: readonly CommandResult[];
      try {
        results = await transport.send(batch, this.stopping.signal);
      } catch (error) {
        if (!(error instanceof Refused && UNFIT.has(error.status))) {
          throw error;
        }
        if (batch.length > 1) {
          limit = Math.ceil(batch.length / 2); // Down to the one command that it is about.
          continue;
        }
        results = batch.map(({ key }) => ({ key, status: 400, error: error.error }));
      }
      onTouched(await settle(database, results, new Date(now()).toISOString()));
      this.log.behind = true;
      if (results.filter(isSettled).length < batch.length) {
        throw new Unreachable("a part of the batch was not carried out");
      }
    }
  }

  private failed(error: unknown): void {
    if (this.stopped) {
      return;
    }
    if (error instanceof SignedOut) {
      this.tell({ signedIn: false });
      return;
    }
    const asked = error instanceof Refused ? error.retryAfter : null;
    this.notBefore = this.options.now() + (asked ?? 0);
    this.later(this.backoff.next(asked));
  }

  private later(wait: number): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      this.retry = undefined;
      void this.pump();
    }, wait);
  }

  private tell(changed: Partial<EngineStatus>): void {
    this.status = { ...this.status, ...changed };
    if (!this.stopped) {
      this.options.onStatus(this.status);
    }
  }
}

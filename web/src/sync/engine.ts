/** What the leading tab does: drains the queue, keeps the state up to date, and holds the socket. */

import { Backoff } from "./backoff";
import type { BackoffOptions } from "./backoff";
import type { Database, Touched } from "./database";
import { isSettled, settle, take } from "./queue";
import { Live } from "./socket";
import type { SocketMaker } from "./socket";
import { apply, cursorOf, replace } from "./store";
import { Refused, SignedOut, Unreachable } from "./transport";
import type { Transport } from "./transport";
import type { Change, CommandResult } from "./types";

/** How many commands POST /api/commands takes. */
const BATCH = 200;
/** How often in a row a snapshot may be too old before the next attempt has to wait. */
const RESETS = 3;
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
  private readonly live: Live;
  status: EngineStatus = { connected: false, syncing: false, lastSynced: null, signedIn: true };
  private lost = false;
  private behind = false;
  private pumping = false;
  private pumpAgain = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private notBefore = 0;
  private inbox: Change[] = [];
  /** What reads the log goes one after the other. */
  private reading: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: EngineOptions) {
    const { transport, backoff = {}, now } = options;
    this.backoff = new Backoff(backoff);
    this.live = new Live({
      url: options.socketUrl,
      WebSocket: options.WebSocket,
      catchUp: () => this.caughtUp(),
      token: () => transport.token(),
      renew: (refused) => transport.renew(refused),
      onChange: (change) => {
        this.inbox.push(change);
        this.inTurn(() => this.drain());
      },
      onHeartbeat: (seq) => {
        this.inTurn(() => this.compare(seq));
      },
      onReset: () => {
        this.lost = true;
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
    await this.reading;
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
        if (this.behind) {
          await this.caughtUp();
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
      this.behind = true;
      if (results.filter(isSettled).length < batch.length) {
        throw new Unreachable("a part of the batch was not carried out");
      }
    }
  }

  /** Reads the log to its end; answers the cursor. The commands carried out before it leave the queue with it. */
  private caughtUp(): Promise<number> {
    const run = this.reading.then(() => this.catchUp());
    this.reading = run.catch(() => undefined);
    return run;
  }

  private async catchUp(): Promise<number> {
    const { database, transport, onTouched, now } = this.options;
    for (let resets = 0; resets <= RESETS;) {
      const after = this.lost ? null : await cursorOf(database);
      if (after === null) {
        this.lost = false;
        onTouched(await replace(database, await this.unlessLost(transport.snapshot(this.stopping.signal))));
        continue;
      }
      this.behind = false;
      const done = (await database.getAll("commands")).filter((command) => command.stage === "done");
      const window = await this.unlessBehind(transport.window(after, this.stopping.signal));
      if (window.reset) {
        this.lost = true;
        resets += 1;
        continue;
      }
      const touched = await apply(database, after, window, window.more ? [] : done.map((command) => command.id));
      if (touched === "gap") {
        continue;
      }
      onTouched(touched);
      if (!window.more) {
        this.tell({ lastSynced: now() });
        return (await cursorOf(database)) ?? 0;
      }
    }
    throw new Unreachable("a snapshot was too old at once");
  }

  /** A snapshot that did not come is still missing. */
  private async unlessLost<T>(request: Promise<T>): Promise<T> {
    try {
      return await request;
    } catch (error) {
      this.lost = true;
      throw error;
    }
  }

  private async unlessBehind<T>(request: Promise<T>): Promise<T> {
    try {
      return await request;
    } catch (error) {
      this.behind = true;
      throw error;
    }
  }

  private inTurn(work: () => Promise<void>): void {
    this.reading = this.reading.then(work).catch((error: unknown) => {
      this.behind = true;
      this.failed(error);
    });
  }

  /** Applies what the socket brought: each run without a gap in one transaction. */
  private async drain(): Promise<void> {
    while (this.inbox.length > 0 && !this.stopped) {
      const inbox = this.inbox;
      const first = inbox[0]?.seq ?? 0;
      const end = inbox.findIndex((change, index) => change.seq !== first + index);
      const changes = end === -1 ? inbox : inbox.slice(0, end);
      this.inbox = end === -1 ? [] : inbox.slice(end);
      const touched = await apply(this.options.database, first - 1, { changes, seq: first + changes.length - 1 });
      if (touched === "gap") {
        this.inbox = [];
        await this.catchUp();
      } else {
        this.options.onTouched(touched);
      }
    }
  }

  /** What the hub says and we do not have, or the other way round, is looked up. */
  private async compare(seq: number): Promise<void> {
    if (!this.stopped && (await cursorOf(this.options.database)) !== seq) {
      await this.catchUp();
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

/** Reads the user's log into the database: by windows, by what the socket brings, or by a snapshot. */

import { EVERYTHING } from "./database";
import type { Database, Touched } from "./database";
import { apply, cursorOf, replace } from "./store";
import type { Applied } from "./store";
import { Unreachable } from "./transport";
import type { Transport } from "./transport";
import type { Change } from "./types";

/** How often in a row a snapshot may be too old before the next attempt has to wait. */
const RESETS = 3;

export interface LogOptions {
  readonly database: Database;
  readonly transport: Transport;
  readonly signal: AbortSignal;
  readonly onTouched: (touched: Touched) => void;
  /** The log is read to its end. */
  readonly onCaughtUp: () => void;
  /** Reading what the socket brought, or missed, failed. */
  readonly onFailed: (error: unknown) => void;
}

export class Log {
  /** The log is to be read by a request: it has what we do not. */
  behind = false;
  private lost = false;
  /** The cursor that we have left; null before the first time. */
  private left: number | null = null;
  private inbox: Change[] = [];
  /** What reads goes one after the other. */
  private reading: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: LogOptions) {}

  /**
   * Reads the log to its end; answers the cursor. The commands that were carried out before leave the queue with it.
   * Raises Refused, Unreachable and SignedOut.
   */
  catchUp(): Promise<number> {
    const run = this.reading.then(() => this.read());
    this.reading = run.catch(() => undefined);
    return run;
  }

  /** A change from the socket. */
  hear(change: Change): void {
    this.inbox.push(change);
    this.inTurn(() => this.drain());
  }

  /** The hub is at `seq`: what it has and we do not, or the other way round, is looked up. */
  compare(seq: number): void {
    this.inTurn(async () => {
      if ((await cursorOf(this.options.database)) !== seq) {
        await this.read();
      }
    });
  }

  /** The log in between is gone: the next reading is of a snapshot. */
  reset(): void {
    this.lost = true;
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    await this.reading;
  }

  private async read(): Promise<number> {
    try {
      return await this.readOn();
    } catch (error) {
      this.behind = true;
      throw error;
    }
  }

  private async readOn(): Promise<number> {
    const { database, transport, signal, onCaughtUp } = this.options;
    for (let resets = 0; resets <= RESETS; ) {
      const after = await cursorOf(database);
      if (after === null || this.lost) {
        await this.load();
        continue;
      }
      // What is carried out from here on may not be in this window.
      this.behind = false;
      const done = (await database.getAll("commands")).filter((command) => command.stage === "done");
      const window = await transport.window(after, signal);
      if (window.reset) {
        this.lost = true;
        resets += 1;
        continue;
      }
      const touched = await apply(database, after, window, window.more ? [] : done.map((command) => command.id));
      if (touched === "gap") {
        continue;
      }
      this.tell(touched);
      if (!window.more) {
        onCaughtUp();
        return (await cursorOf(database)) ?? 0;
      }
    }
    throw new Unreachable("a snapshot was too old at once");
  }

  private async load(): Promise<void> {
    const { database, transport, signal, onTouched } = this.options;
    this.lost = false;
    try {
      onTouched(await replace(database, await transport.snapshot(signal)));
    } catch (error) {
      this.lost = true; // It is still missing.
      throw error;
    }
  }

  /** Applies what the socket brought: each run without a gap in one transaction. */
  private async drain(): Promise<void> {
    while (this.inbox.length > 0) {
      const inbox = this.inbox;
      const first = inbox[0]?.seq ?? 0;
      const end = inbox.findIndex((change, index) => change.seq !== first + index);
      const changes = end === -1 ? inbox : inbox.slice(0, end);
      this.inbox = end === -1 ? [] : inbox.slice(end);
      const touched = await apply(this.options.database, first - 1, { changes, seq: first + changes.length - 1 });
      if (touched === "gap") {
        this.inbox = [];
        await this.read();
      } else {
        this.tell(touched);
      }
    }
  }

  /**
   * Where another tab has moved the cursor, what it read is in the database only: it may have died before it told. So
   * it is with all that a tab finds when it begins to lead.
   */
  private tell(applied: Applied): void {
    this.options.onTouched(applied.from === this.left ? applied : EVERYTHING);
    this.left = applied.to;
  }

  private inTurn(work: () => Promise<void>): void {
    this.reading = this.reading
      .then(() => (this.options.signal.aborted ? undefined : work()))
      .catch((error: unknown) => {
        this.options.onFailed(error);
      });
  }
}

/** Several tabs of one user: one of them leads, and all of them hear what has changed. */

import type { Touched } from "./database";
import type { EngineStatus } from "./engine";

export type Message =
  /** A transaction of another tab has changed this. */
  | { readonly kind: "touched"; readonly touched: Touched }
  /** How the leading tab is doing. */
  | { readonly kind: "status"; readonly status: EngineStatus }
  /** A tab has opened, and asks the leading one how it is doing. */
  | { readonly kind: "hello" }
  /** The user has signed in again. */
  | { readonly kind: "wake" };

/** The part of the browser's BroadcastChannel that is used. */
export interface Channel {
  onmessage: ((event: never) => void) | null;
  postMessage(message: Message): void;
  close(): void;
}

/** The part of the browser's LockManager that is used. */
export interface Locks {
  request(name: string, options: { signal: AbortSignal }, held: () => Promise<void>): Promise<unknown>;
}

export interface TabsOptions {
  readonly userId: string;
  /** null: there are none, and every tab leads. */
  readonly locks: Locks | null;
  /** null: there is none, and a tab hears of the others' changes from the server only. */
  readonly channel: ((name: string) => Channel) | null;
  readonly onMessage: (message: Message) => void;
  /** This tab leads now. */
  readonly onLead: () => void;
}

/**
 * Where Web Locks are missing every tab leads. That costs requests and no more: keys are answered once, and a
 * change that is applied is ignored when it comes again.
 */
export class Tabs {
  private readonly leaving = new AbortController();
  private readonly channel: Channel | null;
  private release: () => void = () => undefined;

  constructor(private readonly options: TabsOptions) {
    const name = `tickler-${options.userId}`;
    this.channel = options.channel?.(name) ?? null;
    if (this.channel) {
      this.channel.onmessage = (event: { data: Message }) => {
        options.onMessage(event.data);
      };
    }
    if (options.locks) {
      void this.wait(options.locks, name);
    } else {
      queueMicrotask(() => {
        this.lead();
      });
    }
    this.post({ kind: "hello" });
  }

  post(message: Message): void {
    if (!this.leaving.signal.aborted) {
      this.channel?.postMessage(message);
    }
  }

  /** Stops hearing and telling. The lead is kept until `handOver`. */
  leave(): void {
    this.leaving.abort();
    this.channel?.close();
  }

  /** Lets the next tab lead. */
  handOver(): void {
    this.release();
  }

  private async wait(locks: Locks, name: string): Promise<void> {
    const over = new Promise<void>((resolve) => {
      this.release = resolve;
    });
    try {
      await locks.request(name, { signal: this.leaving.signal }, () => {
        this.lead();
        return over;
      });
    } catch {
      if (!this.leaving.signal.aborted) {
        this.lead(); // Locks that are refused (an opaque origin) are locks that are missing.
      }
    }
  }

  private lead(): void {
    if (!this.leaving.signal.aborted) {
      this.options.onLead();
    }
  }
}

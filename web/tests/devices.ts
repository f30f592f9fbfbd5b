/** Clients for tests: each device with a database of its own, and what tabs of one device share. */

import { IDBFactory } from "fake-indexeddb";

import { SyncClient } from "../src/sync";
import type { SyncOptions } from "../src/sync";
import type { Channel, Locks, Message } from "../src/sync/tabs";
import type { Link, World } from "./network";

export const USER = "01890000-0000-7000-8000-000000000001";

export const TOKENS = {
  current: () => Promise.resolve({ value: "token" }),
  renew: () => Promise.resolve({ value: "another" }),
};

export class Device {
  readonly link: Link;
  readonly indexedDB = new IDBFactory();
  readonly locks = new FakeLocks();
  private readonly channels = new Set<FakeChannel>();

  constructor(world: World) {
    this.link = world.link();
  }

  /** A tab, open. */
  async tab(options: Partial<SyncOptions> = {}): Promise<SyncClient> {
    const client = new SyncClient({
      url: "http://tickler.test",
      tokens: TOKENS,
      fetch: this.link.fetch,
      WebSocket: this.link.WebSocket,
      network: this.link.network,
      indexedDB: this.indexedDB,
      locks: this.locks,
      channel: () => new FakeChannel(this.channels),
      backoff: { first: 1, most: 4 },
      ...options,
    });
    await client.open(USER);
    return client;
  }
}

/** Resolves when a client's snapshot is as wanted; rejects after `patience` ms with what it is instead. */
export async function until(client: SyncClient, wanted: () => boolean, patience = 20_000): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const check = (): void => {
      if (wanted()) {
        clearTimeout(timer);
        stop();
        resolve();
      }
    };
    const stop = client.subscribe(check);
    const timer = setTimeout(() => {
      stop();
      const { status, tasks } = client.getSnapshot();
      reject(new Error(`not in time: ${JSON.stringify({ status, tasks: [...tasks.values()] })}`));
    }, patience);
    check();
  });
}

/** Every command is out and shows in the state. */
export async function settled(client: SyncClient): Promise<void> {
  await until(client, () => {
    const { status } = client.getSnapshot();
    return status.pending === 0 && status.connected && !status.syncing;
  });
}

export function titles(client: SyncClient): string[] {
  return Array.from(client.getSnapshot().tasks.values(), (task) => task.title).toSorted();
}

/** Web Locks of one browser: one holder, the others in line. */
export class FakeLocks implements Locks {
  private last: Promise<unknown> = Promise.resolve();

  async request(_name: string, { signal }: { signal: AbortSignal }, held: () => Promise<void>): Promise<unknown> {
    const turn = this.last.then(async () => {
      signal.throwIfAborted();
      await held();
    });
    this.last = turn.catch(() => undefined);
    return turn;
  }
}

class FakeChannel implements Channel {
  onmessage: ((event: { data: Message }) => void) | null = null;

  constructor(private readonly all: Set<FakeChannel>) {
    all.add(this);
  }

  postMessage(message: Message): void {
    this.all.forEach((other) => {
      if (other !== this) {
        setTimeout(() => other.onmessage?.({ data: structuredClone(message) }));
      }
    });
  }

  close(): void {
    this.all.delete(this);
  }
}

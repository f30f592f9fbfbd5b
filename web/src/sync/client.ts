/** The sync client: a list of tasks that is there offline, and that all devices of a user agree on. */

import type { BackoffOptions } from "./backoff";
import { openDatabase } from "./database";
import type { Database, Touched } from "./database";
import { Engine } from "./engine";
import type { EngineStatus } from "./engine";
import { localTagId, uuid7 } from "./ids";
import { Memory } from "./memory";
import type { SyncSnapshot } from "./memory";
import { add } from "./queue";
import type { SocketMaker } from "./socket";
import { dismiss, read, tidy } from "./store";
import { Tabs } from "./tabs";
import type { Channel, Locks, Message } from "./tabs";
import { Transport } from "./transport";
import type { Tokens } from "./transport";
import type { Call, NewTask, Task, TaskEdit } from "./types";

/** The browser's view of the network. */
export interface Network {
  isOnline(): boolean;
  /** Calls the listener when that changes; answers how to stop. */
  watch(listener: () => void): () => void;
}

export interface SyncOptions {
  readonly tokens: Tokens;
  /** The origin of the API; that of the page by default. */
  readonly url?: string;
  readonly fetch?: typeof fetch;
  readonly WebSocket?: SocketMaker;
  readonly indexedDB?: IDBFactory;
  /** null: as where there are none. */
  readonly locks?: Locks | null;
  readonly channel?: ((name: string) => Channel) | null;
  readonly network?: Network;
  readonly backoff?: BackoffOptions;
  /** Now, in ms since 1970. */
  readonly now?: () => number;
}

export class SyncClient {
  private readonly memory = new Memory();
  private readonly now: () => number;
  private readonly network: Network;
  private database: Database | null = null;
  private tabs: Tabs | null = null;
  private engine: Engine | null = null;
  private unwatch: () => void = () => undefined;
  private refreshing: Promise<void> = Promise.resolve();

  constructor(private readonly options: SyncOptions) {
    this.now = options.now ?? Date.now;
    this.network = options.network ?? browserNetwork;
  }

  /** Opens what this browser keeps of the user, then begins to sync. Resolves when the view is there, online or not. */
  async open(userId: string): Promise<void> {
    const { options } = this;
    const database = await openDatabase(options.indexedDB ?? indexedDB, userId, () => void this.close());
    this.database = database;
    await tidy(database, this.now());
    this.memory.load(await read(database));
    this.memory.setStatus({ open: true, online: this.network.isOnline() });
    this.unwatch = this.network.watch(() => {
      this.onNetwork();
    });
    this.tabs = new Tabs({
      userId,
      locks: options.locks === undefined ? browserLocks() : options.locks,
      channel: options.channel === undefined ? browserChannel() : options.channel,
      onMessage: (message) => {
        this.onMessage(message);
      },
      onLead: () => {
        this.lead(database);
      },
    });
  }

  /** Stops, and keeps everything. Another tab leads then. */
  async close(): Promise<void> {
    const { database, engine, tabs } = this;
    [this.database, this.engine, this.tabs] = [null, null, null];
    this.unwatch();
    tabs?.leave();
    await engine?.stop();
    await this.refreshing;
    database?.close();
    tabs?.handOver();
    this.memory.setStatus({ open: false, leader: false, connected: false, syncing: false });
  }

  /** For useSyncExternalStore: `listener` is called when `getSnapshot` answers another object. */
  readonly subscribe = (listener: () => void): (() => void) => this.memory.subscribe(listener);

  /** For useSyncExternalStore: the same object until something changes. */
  readonly getSnapshot = (): SyncSnapshot => this.memory.snapshot();

  /** The user has signed in again, or asks for it now. */
  wake(): void {
    this.engine?.wake();
    this.tabs?.post({ kind: "wake" });
  }

  /** Resolves with the id of the new task when the command is kept; so do all that follow. */
  async createTask(fields: NewTask): Promise<string> {
    checkTitle(fields.title);
    const id = uuid7(this.now());
    await this.command({ function: "create-task", input: { ...fields, id } });
    return id;
  }

  async updateTask(taskId: string, edit: TaskEdit): Promise<void> {
    checkTitle(edit.title);
    await this.command({ function: "update-task", input: { ...edit, task_id: taskId } });
  }

  /** Completes the occurrence that the user sees; the next one comes from the server. */
  async completeTask(taskId: string): Promise<void> {
    await this.command({ function: "complete-task", input: { task_id: taskId, action: "complete", ...this.seen(taskId) } });
  }

  async reopenTask(taskId: string): Promise<void> {
    await this.command({ function: "complete-task", input: { task_id: taskId, action: "reopen" } });
  }

  /** Leaves out the occurrence that the user sees. Where the task goes is the server's to tell. */
  async skipTask(taskId: string): Promise<void> {
    await this.command({ function: "complete-task", input: { task_id: taskId, action: "skip", ...this.seen(taskId) } });
  }

  /** Deletes the task and what is left of its series, or ("this") one occurrence. */
  async deleteTask(taskId: string, scope: "this" | "following" = "following"): Promise<void> {
    await this.command({ function: "delete-task", input: { task_id: taskId, scope, ...this.seen(taskId) } });
  }

  /** Resolves with the tag's id in the view; it has another one when the server has made it. */
  async createTag(name: string, color?: string): Promise<string> {
    const input = { action: "create", name, ...(color === undefined ? {} : { color }) } as const;
    return localTagId(await this.command({ function: "manage-tags", input }));
  }

  async updateTag(tagId: string, change: { readonly name?: string; readonly color?: string }): Promise<void> {
    await this.command({ function: "manage-tags", input: { action: "update", tag_id: tagId, ...change } });
  }

  async deleteTag(tagId: string): Promise<void> {
    await this.command({ function: "manage-tags", input: { action: "delete", tag_id: tagId } });
  }

  /** Takes a conflict or a rejected command off the list. */
  async dismiss(noticeId: string): Promise<void> {
    await this.touched(await dismiss(this.opened(), noticeId));
  }

  private async command(call: Call): Promise<string> {
    const key = uuid7(this.now());
    const touched = await add(this.opened(), call, key, new Date(this.now()).toISOString());
    await this.touched(touched);
    this.engine?.kick();
    return key;
  }

  /** The number of the occurrence that the user sees, so that no other one is meant when the command arrives. */
  private seen(taskId: string): { occurrence?: number } {
    const task: Task | undefined = this.memory.snapshot().tasks.get(taskId);
    return task?.recurrence && task.occurrence !== null ? { occurrence: task.occurrence } : {};
  }

  private lead(database: Database): void {
    const { options } = this;
    const url = options.url ?? "";
    this.engine = new Engine({
      database,
      transport: new Transport({ url, tokens: options.tokens, now: this.now, ...(options.fetch && { fetch: options.fetch }) }),
      socketUrl: new URL("/api/ws/tasks", url || location.href).href.replace(/^http/, "ws"),
      WebSocket: options.WebSocket ?? WebSocket,
      isOnline: () => this.network.isOnline(),
      onTouched: (touched) => {
        this.touched(touched).catch(() => undefined); // Only where the database was closed meanwhile.
      },
      onStatus: (status) => {
        this.onStatus(status);
        this.tabs?.post({ kind: "status", status });
      },
      backoff: options.backoff ?? {},
      now: this.now,
    });
    this.memory.setStatus({ leader: true });
    this.engine.start();
  }

  /** This tab has changed something: it reads it, and the others do. */
  private touched(touched: Touched): Promise<void> {
    this.tabs?.post({ kind: "touched", touched });
    return this.refresh(touched);
  }

  private refresh(touched: Touched): Promise<void> {
    const run = this.refreshing.then(async () => {
      if (this.database) {
        this.memory.merge(touched, await read(this.database, touched));
      }
    });
    this.refreshing = run.catch(() => undefined);
    return run;
  }

  private onMessage(message: Message): void {
    if (message.kind === "touched") {
      this.refresh(message.touched).catch(() => undefined);
      if (message.touched.commands) {
        this.engine?.kick();
      }
    } else if (message.kind === "status" && !this.engine) {
      this.onStatus(message.status);
    } else if (message.kind === "hello" && this.engine) {
      this.tabs?.post({ kind: "status", status: this.engine.status });
    } else if (message.kind === "wake") {
      this.engine?.wake();
    }
  }

  /** Shown after what it is about: who sees that syncing is over sees what it brought. */
  private onStatus({ connected, syncing, lastSynced, signedIn }: EngineStatus): void {
    this.refreshing = this.refreshing.then(() => {
      if (this.database) {
        this.memory.setStatus({ connected, syncing, lastSynced, signedIn });
      }
    });
  }

  private onNetwork(): void {
    const online = this.network.isOnline();
    this.memory.setStatus({ online });
    if (online) {
      this.engine?.wake();
    } else {
      this.engine?.drop();
    }
  }

  private opened(): Database {
    if (!this.database) {
      throw new Error("the client is not open");
    }
    return this.database;
  }
}

/** Raises RangeError for a title that the server would refuse, so that no queued command is refused for it. */
function checkTitle(title: string | undefined): void {
  if (title !== undefined && (title === "" || Array.from(title).length > 500)) {
    throw new RangeError("a title has 1 to 500 characters");
  }
}

const browserNetwork: Network = {
  isOnline: () => typeof navigator === "undefined" || navigator.onLine,
  watch: (listener) => {
    if (typeof window === "undefined") {
      return () => undefined;
    }
    const stop = new AbortController();
    window.addEventListener("online", listener, { signal: stop.signal });
    window.addEventListener("offline", listener, { signal: stop.signal });
    return () => {
      stop.abort();
    };
  },
};

function browserLocks(): Locks | null {
  return typeof navigator !== "undefined" && "locks" in navigator ? navigator.locks : null;
}

function browserChannel(): ((name: string) => Channel) | null {
  return typeof BroadcastChannel === "undefined" ? null : (name) => new BroadcastChannel(name);
}

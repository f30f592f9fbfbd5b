/** What a tab shows: its copy of the database, the view over it, and whoever wants to know of changes. */

import type { Touched } from "./database";
import { project } from "./project";
import type { View } from "./project";
import type { Contents } from "./store";
import type { Command, ConflictNotice, Notice, RejectedNotice, Tag, Task } from "./types";

export interface SyncStatus {
  /** The database is open: what is shown is what this browser knows. */
  readonly open: boolean;
  /** The browser has a network. */
  readonly online: boolean;
  /** Changes come as they happen. */
  readonly connected: boolean;
  readonly syncing: boolean;
  /** false: the user has to sign in again. */
  readonly signedIn: boolean;
  /** This tab does the syncing. */
  readonly leader: boolean;
  /** Commands that the server has not carried out yet. */
  readonly pending: number;
  /** ms since 1970; null for not yet. */
  readonly lastSynced: number | null;
}

export interface SyncSnapshot extends View {
  readonly status: SyncStatus;
  /** Oldest first; without what was dismissed. */
  readonly conflicts: readonly ConflictNotice[];
  readonly rejected: readonly RejectedNotice[];
}

export class Memory {
  private readonly listeners = new Set<() => void>();
  private tasks: ReadonlyMap<string, Task> = new Map();
  private tags: ReadonlyMap<string, Tag> = new Map();
  private commands: readonly Command[] = [];
  private notices: readonly Notice[] = [];
  private view: View | null = null;
  private current: SyncSnapshot | null = null;
  private status: Omit<SyncStatus, "pending"> = {
    open: false,
    online: true,
    connected: false,
    syncing: false,
    signedIn: true,
    leader: false,
    lastSynced: null,
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot(): SyncSnapshot {
    this.view ??= project({ tasks: this.tasks, tags: this.tags }, this.commands);
    const notices = this.notices.filter((notice) => !notice.dismissed);
    this.current ??= {
      ...this.view,
      status: { ...this.status, pending: this.commands.filter((command) => command.stage !== "done").length },
      conflicts: notices.filter((notice) => notice.kind === "conflict"),
      rejected: notices.filter((notice) => notice.kind === "rejected"),
    };
    return this.current;
  }

  load(contents: Contents): void {
    this.tasks = byId(contents.tasks);
    this.tags = byId(contents.tags);
    this.commands = contents.commands;
    this.notices = contents.notices.toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at));
    this.changed();
  }

  /** Takes in what was read again because it was touched. */
  merge(touched: Touched, contents: Contents): void {
    this.load({
      tasks: touched.tasks === "all" ? contents.tasks : [...this.without(touched.tasks), ...contents.tasks],
      tags: touched.tags ? contents.tags : [...this.tags.values()],
      commands: touched.commands ? contents.commands : this.commands,
      notices: touched.notices ? contents.notices : this.notices,
    });
  }

  setStatus(changed: Partial<SyncStatus>): void {
    const before = this.status;
    this.status = { ...before, ...changed };
    if (Object.entries(changed).some(([name, value]) => before[name as keyof typeof before] !== value)) {
      this.current = null;
      this.notify();
    }
  }

  private without(ids: readonly string[]): readonly Task[] {
    const touched = new Set(ids);
    return [...this.tasks.values()].filter((task) => !touched.has(task.id));
  }

  private changed(): void {
    this.view = null;
    this.current = null;
    this.notify();
  }

  private notify(): void {
    for (const listener of [...this.listeners]) {
      listener();
    }
  }
}

function byId<T extends { readonly id: string }>(items: readonly T[]): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [item.id, item]));
}

/** The server's state as this browser knows it: windows of changes go in, each with its cursor, all or nothing. */

import { EVERYTHING, writing } from "./database";
import type { Database, Touched, Writes } from "./database";
import { retagged } from "./edits";
import { eventConflicts, keep } from "./notices";
import type { Change, Command, Notice, Tag, Task, Window } from "./types";

/** How long a dismissed notice is remembered, so that its event does not bring it back (ms). */
const REMEMBERED = 7 * 24 * 3600 * 1000;

export interface Snapshot {
  readonly tasks: readonly Task[];
  readonly tags: readonly Tag[];
  readonly seq: number;
}

/** What a window changed, and the cursor before and after it. */
export interface Applied extends Touched {
  readonly from: number;
  readonly to: number;
}

export interface Contents {
  readonly tasks: readonly Task[];
  readonly tags: readonly Tag[];
  readonly commands: readonly Command[];
  readonly notices: readonly Notice[];
}

/** The seq up to which the log is applied; null before the first snapshot. */
export async function cursorOf(database: Database): Promise<number | null> {
  return (await database.get("meta", "cursor")) ?? null;
}

/** What is there now, at one moment. `touched` says what to read; of tasks it may name some. */
export async function read(database: Database, touched: Touched = EVERYTHING): Promise<Contents> {
  const tx = database.transaction(["tasks", "tags", "commands", "notices"]);
  const tasks = tx.objectStore("tasks");
  const named = touched.tasks === "all" ? tasks.getAll() : Promise.all(touched.tasks.map((id) => tasks.get(id)));
  const [found, tags, commands, notices] = await Promise.all([
    named,
    touched.tags ? tx.objectStore("tags").getAll() : [],
    touched.commands ? tx.objectStore("commands").getAll() : [],
    touched.notices ? tx.objectStore("notices").getAll() : [],
    tx.done,
  ]);
  return { tasks: found.filter((task) => task !== undefined), tags, commands, notices };
}

/**
 * Applies what came after `after` and moves the cursor to `window.seq`, in one transaction. Changes up to the cursor
 * are ignored, so a window may come twice. `drop` are commands that were carried out before the window was asked
 * for, so that the state now shows them. Answers "gap" and changes nothing where the log in between is missing.
 */
export async function apply(
  database: Database,
  after: number,
  window: Window,
  drop: readonly number[] = [],
): Promise<Applied | "gap"> {
  return writing(database, async (tx) => {
    const meta = tx.objectStore("meta");
    const cursor = await meta.get("cursor");
    if (cursor === undefined || cursor < after) {
      return "gap";
    }
    const applying = new Applying(tx);
    for (const change of window.changes) {
      if (change.seq > cursor) {
        await applying.change(change);
      }
    }
    if (window.seq > cursor) {
      await meta.put(window.seq, "cursor");
    }
    for (const id of drop) {
      await tx.objectStore("commands").delete(id);
    }
    return { ...applying.touched(), commands: drop.length > 0, from: cursor, to: Math.max(cursor, window.seq) };
  });
}

/** Puts a snapshot in place of the server's state. The queue and the notices stay. */
export async function replace(database: Database, snapshot: Snapshot): Promise<Touched> {
  return writing(database, async (tx) => {
    const [tasks, tags] = [tx.objectStore("tasks"), tx.objectStore("tags")];
    await Promise.all([
      tasks.clear(),
      tags.clear(),
      ...snapshot.tasks.map((task) => tasks.put(task)),
      ...snapshot.tags.map((tag) => tags.put(tag)),
      tx.objectStore("meta").put(snapshot.seq, "cursor"),
    ]);
    return { tasks: "all", tags: true, commands: false, notices: false };
  });
}

/** The user has seen this notice. */
export async function dismiss(database: Database, id: string): Promise<Touched> {
  return writing(database, async (tx) => {
    const notice = await tx.objectStore("notices").get(id);
    if (notice) {
      await tx.objectStore("notices").put({ ...notice, dismissed: true });
    }
    return { tasks: [], tags: false, commands: false, notices: true };
  });
}

/** Forgets notices that were dismissed long before `now` (ms). */
export async function tidy(database: Database, now: number): Promise<void> {
  await writing(database, async (tx) => {
    for (const notice of await tx.objectStore("notices").getAll()) {
      if (notice.dismissed && now - Date.parse(notice.at) > REMEMBERED) {
        await tx.objectStore("notices").delete(notice.id);
      }
    }
  });
}

/** One window on its way into the database. */
class Applying {
  private readonly tasks = new Set<string>();
  private tags = false;
  private notices = false;

  constructor(private readonly tx: Writes) {}

  touched(): Touched {
    return { tasks: [...this.tasks], tags: this.tags, commands: false, notices: this.notices };
  }

  async change(change: Change): Promise<void> {
    const { task, tag, reminder, task_id } = change;
    if (change.type === "task.deleted") {
      await this.tx.objectStore("tasks").delete(change.entity_id);
      this.tasks.add(change.entity_id);
    } else if (task) {
      await this.put(task);
    } else if (tag) {
      await this.tag(tag, change.type === "tag.deleted");
    } else if (reminder && task_id) {
      await this.deliver(task_id, reminder.id, { ...reminder });
    }
    const conflicts = eventConflicts(change);
    if (conflicts.length > 0) {
      await keep(this.tx, conflicts);
      this.notices = true;
    }
  }

  /** A later page of a snapshot may have been ahead of the log: states are whole, so the higher version stays. */
  private async put(task: Task): Promise<void> {
    const tasks = this.tx.objectStore("tasks");
    const known = await tasks.get(task.id);
    if (!known || known.version <= task.version) {
      await tasks.put(task);
      this.tasks.add(task.id);
    }
  }

  /** A change of a tag shows in every task that has it; there is no event for each of them. */
  private async tag(tag: Tag, deleted: boolean): Promise<void> {
    this.tags = true;
    const [tags, tasks] = [this.tx.objectStore("tags"), this.tx.objectStore("tasks")];
    await (deleted ? tags.delete(tag.id) : tags.put(tag));
    for (const task of await tasks.getAll()) {
      const changed = retagged(task, tag.id, deleted ? null : tag);
      if (changed !== task) {
        await tasks.put(changed);
        this.tasks.add(task.id);
      }
    }
  }

  private async deliver(taskId: string, id: string, reminder: NonNullable<Change["reminder"]>): Promise<void> {
    const tasks = this.tx.objectStore("tasks");
    const task = await tasks.get(taskId);
    if (task?.reminders.some((one) => one.id === id)) {
      await tasks.put({ ...task, reminders: task.reminders.map((one) => (one.id === id ? reminder : one)) });
      this.tasks.add(taskId);
    }
  }
}

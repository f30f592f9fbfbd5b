/** A small model of the server, in memory: commands once per key, the merge of fields, the log and its windows. */

import { edited, newTask, retagged, tagKey } from "../src/sync/edits";
import { uuid7 } from "../src/sync/ids";
import type { Call, Change, CommandResult, FieldConflict, Tag, TagInput, Task, TaskEdit } from "../src/sync/types";

export interface SentCommand {
  readonly key: string;
  readonly function: string;
  readonly input: unknown;
  readonly made_at: string;
}

type Body = Pick<Change, "type" | "entity_type" | "entity_id"> & Partial<Change>;

/** How many raw events a window of GET /api/sync spans. */
const WINDOW = 7;
/** How many tasks a page of a snapshot has. */
const PAGE = 3;

export class Server {
  readonly tasks = new Map<string, Task>();
  readonly tags = new Map<string, Tag>();
  /** The keys of the commands that were carried out, in the order of that. */
  readonly carriedOut: string[] = [];
  /** The log; `kept` is the first seq that is still there. */
  readonly log: Change[] = [];
  kept = 1;
  onChange: (change: Change) => void = () => undefined;

  private readonly answers = new Map<string, { readonly inputs: string; readonly result: CommandResult }>();
  /** When each field of a task was last edited, and to which version that made it. */
  private readonly edits = new Map<string, { readonly at: string; readonly version: number }>();

  get seq(): number {
    return this.log.length;
  }

  /** Forgets the log: whoever is behind has to load a snapshot. */
  compact(): void {
    this.kept = this.seq + 1;
  }

  list(): Task[] {
    return [...this.tasks.values()].toSorted((one, other) => (one.id < other.id ? -1 : 1));
  }

  carryOut(command: SentCommand): CommandResult {
    const inputs = JSON.stringify([command.function, command.input]);
    const known = this.answers.get(command.key);
    if (known) {
      return known.inputs === inputs ? known.result : failure(command.key, 400, "Idempotency-Key");
    }
    const result = this.run(command);
    this.answers.set(command.key, { inputs, result });
    this.carriedOut.push(command.key);
    return result;
  }

  window(after: number): { changes: Change[]; seq: number; more: boolean; reset?: boolean } {
    if (after < this.kept - 1 || after > this.seq) {
      return { changes: [], seq: this.seq, more: false, reset: true };
    }
    const raw = this.log.slice(after, after + WINDOW);
    const last = new Map(raw.map((change) => [`${change.entity_type} ${change.entity_id}`, change]));
    const changes = raw.filter((change) => last.get(`${change.entity_type} ${change.entity_id}`) === change);
    const seq = after + raw.length;
    return { changes, seq, more: seq < this.seq };
  }

  page(cursor: string | null): { tasks: Task[]; tags: Tag[]; seq: number; next_cursor: string | null } {
    const [seq = String(this.seq), after = ""] = cursor?.split(" ") ?? [];
    const left = this.list().filter((task) => task.id > after);
    const tasks = left.slice(0, PAGE);
    const next = left.length > PAGE ? `${seq} ${tasks.at(-1)?.id ?? ""}` : null;
    return { tasks, tags: [...this.tags.values()], seq: Number(seq), next_cursor: next };
  }

  private run({ key, function: name, input, made_at }: SentCommand): CommandResult {
    const call = { function: name, input } as Call;
    if (call.function === "manage-tags") {
      return this.runTag(key, call.input);
    }
    if (call.function === "create-task") {
      const task = this.tasks.get(call.input.id) ?? this.create(call.input, made_at);
      return { key, status: 200, answer: task };
    }
    const task = this.tasks.get(call.input.task_id);
    if (!task) {
      return failure(key, 404, "task");
    }
    switch (call.function) {
      case "update-task":
        return this.update(key, task, call.input, made_at);
      case "complete-task": {
        const { action, occurrence } = call.input;
        if (occurrence !== undefined && occurrence !== task.occurrence) {
          return failure(key, 409, "occurrence");
        }
        return { key, status: 200, answer: this.complete(task, action === "complete", made_at) };
      }
      case "delete-task":
        this.tasks.delete(task.id);
        this.append({ type: "task.deleted", entity_type: "task", entity_id: task.id, task });
        return { key, status: 200, answer: { id: task.id, deleted: true } };
    }
  }

  private create(input: Parameters<typeof newTask>[0], madeAt: string): Task {
    this.makeTags(input.tags ?? []);
    const series = input.recurrence ? { recurrence_id: input.id, occurrence: 1 } : {};
    return this.put("task.created", { ...newTask(input, madeAt, this.byKey()), ...series, time_zone: "UTC", version: 1 });
  }

  private update(
    key: string,
    task: Task,
    input: TaskEdit & { readonly task_id: string; readonly base_version?: number },
    madeAt: string,
  ): CommandResult {
    const { task_id: _id, base_version, ...edit } = input;
    const conflicts: FieldConflict[] = [];
    const won: Record<string, unknown> = { ...edit };
    const values = { ...task } as Record<string, unknown>;
    for (const field of ["title", "description", "priority"] as const) {
      const last = this.edits.get(`${task.id} ${field}`);
      if (!(field in edit) || edit[field] === values[field]) {
        continue;
      }
      if (base_version !== undefined && last && last.version > base_version) {
        const winner = madeAt >= last.at ? "yours" : "theirs";
        conflicts.push({ field, winner, yours: edit[field], theirs: values[field] });
        if (winner === "theirs") {
          Reflect.deleteProperty(won, field);
          continue;
        }
      }
      this.edits.set(`${task.id} ${field}`, { at: madeAt, version: task.version + 1 });
    }
    this.makeTags([...(edit.tags ?? []), ...(edit.add_tags ?? [])]);
    const next = { ...edited(task, won, task.updated_at, this.byKey()), version: task.version };
    if (JSON.stringify(next) === JSON.stringify(task)) {
      return { key, status: 200, answer: { ...task, conflicts } };
    }
    const put = this.put("task.updated", { ...next, updated_at: madeAt, version: task.version + 1 }, conflicts);
    return { key, status: 200, answer: { ...put, conflicts } };
  }

  private complete(task: Task, completed: boolean, madeAt: string): Task {
    if ((task.status === "completed") === completed) {
      return task;
    }
    const status = completed ? "completed" : "open";
    const done: Task = { ...task, status, completed_at: completed ? madeAt : null, version: task.version + 1 };
    this.put(completed ? "task.completed" : "task.reopened", done);
    const followed = [...this.tasks.values()].some((one) => one.recurrence_id === task.id && one.id !== task.id);
    if (completed && task.recurrence && task.recurrence_id === task.id && !followed) {
      const id = uuid7(Date.parse(madeAt));
      this.put("task.created", { ...task, id, occurrence: (task.occurrence ?? 1) + 1, version: 1 });
    }
    return done;
  }

  private runTag(key: string, input: TagInput): CommandResult {
    if (input.action === "create") {
      if (this.byKey().has(tagKey(input.name))) {
        return failure(key, 409, "a tag with this name exists");
      }
      return { key, status: 200, answer: this.makeTags([input.name])[0] };
    }
    const known = this.tags.get(input.tag_id);
    if (!known) {
      return failure(key, 404, "tag");
    }
    const tag = { ...known, name: input.action === "update" ? (input.name ?? known.name) : known.name };
    const gone = input.action === "delete";
    if (gone) {
      this.tags.delete(tag.id);
    } else {
      this.tags.set(tag.id, tag);
    }
    this.tasks.forEach((task, id) => this.tasks.set(id, retagged(task, tag.id, gone ? null : tag)));
    this.append({ type: gone ? "tag.deleted" : "tag.updated", entity_type: "tag", entity_id: tag.id, tag });
    return { key, status: 200, answer: gone ? { id: tag.id, deleted: true } : tag };
  }

  private makeTags(names: readonly string[]): Tag[] {
    return names
      .filter((name) => !this.byKey().has(tagKey(name)))
      .map((name) => {
        const tag = { id: uuid7(Date.now()), name, color: "#0369a1" };
        this.tags.set(tag.id, tag);
        this.append({ type: "tag.created", entity_type: "tag", entity_id: tag.id, tag });
        return tag;
      });
  }

  private put(type: string, task: Task, conflicts: readonly FieldConflict[] = []): Task {
    this.tasks.set(task.id, task);
    this.append({ type, entity_type: "task", entity_id: task.id, task, ...(conflicts.length > 0 && { conflicts }) });
    return task;
  }

  private append(body: Body): void {
    const change = { ...body, seq: this.seq + 1, occurred_at: new Date().toISOString() };
    this.log.push(change);
    this.onChange(change);
  }

  private byKey(): Map<string, Tag> {
    return new Map(Array.from(this.tags.values(), (tag) => [tagKey(tag.name), tag]));
  }
}

function failure(key: string, status: number, what: string): CommandResult {
  return { key, status, error: { code: 3, message: what, details: [] } };
}

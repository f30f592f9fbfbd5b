/** The queue of commands: durable, in order, each sent under one key until its answer is kept. */

import { enqueue } from "./coalesce";
import { writing } from "./database";
import type { Database, Touched, Writes } from "./database";
import { isLocal, localTagId } from "./ids";
import { answerConflicts, keep, rejection } from "./notices";
import { taskOf } from "./project";
import type { Call, Command, CommandResult, FieldConflict, TagInput, Task } from "./types";

const QUEUE: Touched = { tasks: [], tags: false, commands: true, notices: false };

/** Statuses of a command that say "later", not "never". */
const LATER = new Set([401, 408, 425, 429]);

/** Adds a command of now, or merges it with one that waits. When this resolves the command is safe. */
export async function add(database: Database, call: Call, key: string, madeAt: string): Promise<Touched> {
  return writing(database, async (tx) => {
    const store = tx.objectStore("commands");
    const queue = await store.getAll();
    const next: Omit<Command, "id"> = { key, call: resolved(call, queue), made_at: madeAt, base: null, stage: "waiting" };
    const id = taskOf({ ...next, id: 0 });
    const versions = queue.filter((one) => id && taskOf(one) === id).map((one) => one.answer?.version ?? 0);
    const seen = Math.max(0, ...versions, (await tx.objectStore("tasks").get(id))?.version ?? 0);
    const { put, remove } = enqueue(queue, { ...next, base: seen || null });
    for (const command of put) {
      await store.put(command as Command);
    }
    for (const old of remove) {
      await store.delete(old);
    }
    return QUEUE;
  });
}

/**
 * The next commands to send, in order, at most `limit`. From now on their keys stand for their inputs. Those that
 * were sent before without an answer come again, unchanged.
 *
 * A batch ends before an edit of a task that has a command in it already: the version that the edit goes out from is
 * known with the answer, and on another one our own change would look like somebody else's.
 */
export async function take(database: Database, limit: number): Promise<Command[]> {
  return writing(database, async (tx) => {
    const store = tx.objectStore("commands");
    const batch: Command[] = [];
    const tasks = new Set<string>();
    for (const command of await store.getAll()) {
      if (command.stage === "done") {
        continue;
      }
      const again = isEdit(command) && tasks.has(taskOf(command));
      if (batch.length === limit || (command.stage === "waiting" && (again || waitsForTag(command)))) {
        break;
      }
      const sent = command.stage === "sent" ? command : sending(command);
      if (sent !== command) {
        await store.put(sent);
      }
      batch.push(sent);
      tasks.add(taskOf(sent));
    }
    return batch;
  });
}

/**
 * Takes in what became of commands. One that was carried out stays in the view until the state shows it (`apply`
 * drops it then); one that was refused is gone and reported; any other stays to be sent again. `at`: now.
 */
export async function settle(database: Database, results: readonly CommandResult[], at: string): Promise<Touched> {
  return writing(database, async (tx) => {
    const store = tx.objectStore("commands");
    let notices = false;
    for (const result of results) {
      const command = (await store.getAll()).find((one) => one.key === result.key);
      if (command?.stage !== "sent") {
        continue; // Settled already, by another tab.
      }
      if (isDone(result)) {
        notices = (await succeed(tx, command, result.answer, at)) || notices;
      } else if (isSettled(result)) {
        await refuse(tx, command, result, at);
        notices = true;
      }
    }
    return { ...QUEUE, notices };
  });
}

/** true for a result that is the last word on a command; any other says "later". */
export function isSettled({ status }: CommandResult): boolean {
  return status < 500 && !LATER.has(status);
}

function isDone({ status }: CommandResult): boolean {
  return status < 300;
}

async function succeed(tx: Writes, command: Command, answer: unknown, at: string): Promise<boolean> {
  const store = tx.objectStore("commands");
  const { task, conflicts } = parsed(answer);
  const made = command.call.function === "manage-tags" && hasId(answer) ? { made: answer.id } : {};
  await store.put({ ...command, stage: "done", ...(task && { answer: task }), ...made });
  for (const follower of await store.getAll()) {
    if (follower.stage !== "waiting") {
      continue;
    }
    const { call, base } = follower;
    if (task?.id === taskOf(follower) && (base === null || task.version === base + 1)) {
      // Nobody but us has changed the task since the user saw it.
      await store.put({ ...follower, base: task.version });
    } else if (call.function === "manage-tags" && waitsFor(follower, command.key) && made.made) {
      await store.put({ ...follower, call: withTag(call.input, made.made) });
    }
  }
  if (task && conflicts.length > 0) {
    await keep(tx, answerConflicts(task, conflicts, at));
    return true;
  }
  return false;
}

async function refuse(tx: Writes, command: Command, result: CommandResult, at: string): Promise<void> {
  const store = tx.objectStore("commands");
  for (const one of await store.getAll()) {
    // What is said of a tag that is never made goes with it.
    if (one.id === command.id || waitsFor(one, command.key)) {
      await store.delete(one.id);
      await keep(tx, [rejection(one, result, at)]);
    }
  }
}

/** A command on a tag that we have made, by the id that the server gave it since. Raises RangeError for no such tag. */
function resolved(call: Call, queue: readonly Command[]): Call {
  if (call.function !== "manage-tags" || call.input.action === "create" || !isLocal(call.input.tag_id)) {
    return call;
  }
  const { tag_id } = call.input;
  const maker = queue.find((command) => localTagId(command.key) === tag_id);
  if (!maker) {
    throw new RangeError("there is no such tag");
  }
  return maker.made === undefined ? call : withTag(call.input, maker.made);
}

function withTag(input: TagInput, tagId: string): Call {
  return { function: "manage-tags", input: { ...input, tag_id: tagId } as TagInput };
}

/** The command with the inputs that its key stands for from now on. */
function sending(command: Command): Command {
  const { call, base } = command;
  if (call.function === "update-task" && base !== null) {
    return { ...command, stage: "sent", call: { ...call, input: { ...call.input, base_version: base } } };
  }
  return { ...command, stage: "sent" };
}

function isEdit({ call }: Command): boolean {
  return call.function === "update-task";
}

function waitsForTag({ call }: Command): boolean {
  return call.function === "manage-tags" && call.input.action !== "create" && isLocal(call.input.tag_id);
}

function waitsFor({ call }: Command, key: string): boolean {
  return call.function === "manage-tags" && call.input.action !== "create" && call.input.tag_id === localTagId(key);
}

function hasId(answer: unknown): answer is { readonly id: string } {
  return typeof answer === "object" && answer !== null && "id" in answer && typeof answer.id === "string";
}

/** The task of an answer, and the conflicts beside it. There is none where the task was deleted, nor for a tag. */
function parsed(answer: unknown): { task?: Task; conflicts: readonly FieldConflict[] } {
  if (typeof answer !== "object" || answer === null || !("title" in answer)) {
    return { conflicts: [] };
  }
  const { conflicts = [], ...task } = answer as Task & { conflicts?: readonly FieldConflict[] };
  return { task, conflicts };
}

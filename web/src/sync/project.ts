/** The optimistic view: the server's state with this device's commands folded in. Pure. */

import { edited, newTask, retagged, tagKey } from "./edits";
import { isLocal, localTagId } from "./ids";
import type { Command, ServerState, Tag, TagInput, Task } from "./types";

export interface View extends ServerState {
  /** The ids of tasks that have a command which the server has not carried out yet. */
  readonly pending: ReadonlySet<string>;
}

/**
 * What the user sees. A command that is refused and leaves the queue leaves no trace here. Tasks that no command
 * touches are the objects of `state`. What only the server can tell (the next occurrence, the times of reminders)
 * stays as it was, and the task is in `pending`.
 */
export function project(state: ServerState, commands: readonly Command[]): View {
  const view: Draft = { tasks: state.tasks, tags: state.tags, pending: new Set() };
  if (commands.length > 0) {
    view.tasks = new Map(state.tasks);
    view.tags = new Map(state.tags);
  }
  for (const command of commands) {
    const { call } = command;
    if (call.function === "manage-tags") {
      foldTag(view, command, call.input);
      continue;
    }
    const id = taskOf(command);
    if (command.stage === "done") {
      foldAnswer(view.tasks, id, command);
    } else {
      view.pending.add(id);
      fold(view, command, id);
    }
  }
  return view;
}

/** The id of the task that a command is about, "" for one about a tag. */
export function taskOf({ call }: Command): string {
  if (call.function === "manage-tags") {
    return "";
  }
  return call.function === "create-task" ? call.input.id : call.input.task_id;
}

interface Draft {
  tasks: ReadonlyMap<string, Task>;
  tags: ReadonlyMap<string, Tag>;
  pending: Set<string>;
}

/** The answer stands until the state has caught up with it. */
function foldAnswer(tasks: ReadonlyMap<string, Task>, id: string, { call, answer }: Command): void {
  const known = tasks.get(id);
  if (answer === undefined) {
    (tasks as Map<string, Task>).delete(id);
  } else if (known ? known.version < answer.version : call.function === "create-task") {
    (tasks as Map<string, Task>).set(id, answer);
  }
}

function fold(view: Draft, { call, made_at }: Command, id: string): void {
  const tasks = view.tasks as Map<string, Task>;
  const task = tasks.get(id);
  if (call.function === "create-task") {
    if (!task) {
      tasks.set(id, newTask(call.input, made_at, byKey(view.tags)));
    }
  } else if (task && call.function === "update-task") {
    tasks.set(id, edited(task, call.input, made_at, byKey(view.tags)));
  } else if (task && call.function === "complete-task") {
    const { action, occurrence } = call.input;
    if (action !== "skip" && (occurrence === undefined || occurrence === task.occurrence)) {
      const completed = action === "complete";
      tasks.set(id, {
        ...task,
        status: completed ? "completed" : "open",
        completed_at: completed ? (task.completed_at ?? made_at) : null,
      });
    }
  } else if (task && call.function === "delete-task") {
    const skips = call.input.scope === "this" && task.recurrence !== null && task.status === "open";
    if (!skips) {
      tasks.delete(id);
    }
  }
}

function foldTag(view: Draft, command: Command, input: TagInput): void {
  const tags = view.tags as Map<string, Tag>;
  if (input.action === "create") {
    const id = command.made ?? localTagId(command.key);
    if (!byKey(tags).has(tagKey(input.name))) {
      tags.set(id, { id, name: input.name, color: input.color ?? "#57534e" });
    }
    return;
  }
  const known = tags.get(input.tag_id);
  if (!known) {
    return;
  }
  const tag = input.action === "delete" ? null : { ...known, name: input.name ?? known.name, color: input.color ?? known.color };
  if (tag) {
    tags.set(tag.id, tag);
  } else {
    tags.delete(input.tag_id);
  }
  if (!isLocal(input.tag_id)) {
    view.tasks = new Map(Array.from(view.tasks, ([id, task]) => [id, retagged(task, input.tag_id, tag)]));
  }
}

function byKey(tags: ReadonlyMap<string, Tag>): Map<string, Tag> {
  return new Map(Array.from(tags.values(), (tag) => [tagKey(tag.name), tag]));
}

/**
 * What a new command makes of those that still wait: fewer to send, and the same outcome. Pure.
 *
 * Only what has never been sent is changed, as a key stands for its inputs once they may have arrived. And only
 * fields that the server refuses for no reason that we do not check ourselves are merged: a refused edit must not
 * take another one with it.
 */

import { tagKey } from "./edits";
import { localTagId } from "./ids";
import { taskOf } from "./project";
import type { Command, TagInput, TaskEdit } from "./types";

export interface Queued {
  /** Commands to write: a new one has no `id`. */
  readonly put: readonly (Omit<Command, "id"> & { readonly id?: number })[];
  /** Ids of commands to take out. */
  readonly remove: readonly number[];
}

/** Edits of different fields that are made so close together count as made at once, at the time of the last (ms). */
const AT_ONCE = 10_000;

const SAFE = new Set(["title", "description", "priority", "tags", "add_tags", "remove_tags"]);

/** How the queue takes a new command. */
export function enqueue(queue: readonly Command[], next: Omit<Command, "id">): Queued {
  const { call } = next;
  if (call.function === "manage-tags") {
    return enqueueTag(queue, next, call.input);
  }
  if (call.function === "update-task") {
    const last = queue.findLast((command) => taskOf(command) === call.input.task_id);
    const merged = last?.stage === "waiting" ? mergedInto(last, next, edit(call.input)) : null;
    return { put: [merged ?? next], remove: [] };
  }
  if (call.function === "delete-task") {
    const all = queue.filter((command) => taskOf(command) === call.input.task_id);
    const first = all[0]?.call;
    const unknown = first?.function === "create-task" && all.every((command) => command.stage === "waiting");
    const recurs = all.some((one) => "recurrence" in one.call.input && one.call.input.recurrence !== null);
    if (unknown && !(recurs && call.input.scope === "this")) {
      return { put: [], remove: all.map((command) => command.id) };
    }
  }
  return { put: [next], remove: [] };
}

/** Both edits as one, or null where they have to stay two. */
function mergedInto(last: Command, next: Omit<Command, "id">, later: TaskEdit): Command | null {
  if (!onlySafe(later)) {
    return null;
  }
  const { call } = last;
  if (call.function === "create-task") {
    const { add_tags: add, remove_tags: remove, ...fields } = later;
    const tags = withTags(fields.tags ?? call.input.tags ?? [], add, remove);
    const tagged = tags.length > 0 || call.input.tags ? { tags } : {};
    return { ...last, call: { ...call, input: { ...call.input, ...fields, ...tagged } } };
  }
  if (call.function !== "update-task" || !onlySafe(edit(call.input))) {
    return null;
  }
  // The later edit wins, by the time it was made: an old edit must not become a late one.
  const earlier = edit(call.input);
  const over = Object.keys(earlier).every((field) => field in later);
  if (!over && Date.parse(next.made_at) - Date.parse(last.made_at) > AT_ONCE) {
    return null;
  }
  const input = { task_id: call.input.task_id, ...mergedEdit(earlier, later) };
  return { ...last, made_at: next.made_at, call: { ...call, input } };
}

function mergedEdit(earlier: TaskEdit, later: TaskEdit): TaskEdit {
  const { add_tags: add = [], remove_tags: remove = [], ...rest } = later;
  if (later.tags !== undefined) {
    const { add_tags: _add, remove_tags: _remove, ...before } = earlier;
    return { ...before, ...rest, tags: withTags(later.tags, add, remove) };
  }
  if (earlier.tags !== undefined) {
    return { ...earlier, ...rest, tags: withTags(earlier.tags, add, remove) };
  }
  const added = withTags(earlier.add_tags ?? [], add, remove);
  const removed = withTags(earlier.remove_tags ?? [], remove, add);
  return {
    ...earlier,
    ...rest,
    ...(added.length > 0 || earlier.add_tags ? { add_tags: added } : {}),
    ...(removed.length > 0 || earlier.remove_tags ? { remove_tags: removed } : {}),
  };
}

function withTags(names: readonly string[], add: readonly string[] = [], remove: readonly string[] = []): string[] {
  const gone = new Set(remove.map(tagKey));
  const kept = new Map(names.filter((name) => !gone.has(tagKey(name))).map((name) => [tagKey(name), name]));
  for (const name of add) {
    kept.set(tagKey(name), kept.get(tagKey(name)) ?? name);
  }
  return [...kept.values()];
}

function enqueueTag(queue: readonly Command[], next: Omit<Command, "id">, input: TagInput): Queued {
  if (input.action === "create") {
    return { put: [next], remove: [] };
  }
  const maker = queue.find((command) => command.stage === "waiting" && localTagId(command.key) === input.tag_id);
  if (maker?.call.function !== "manage-tags" || maker.call.input.action !== "create") {
    return { put: [next], remove: [] };
  }
  if (input.action === "delete") {
    return { put: [], remove: [maker.id] };
  }
  const { action: _action, tag_id: _id, ...fields } = input;
  return { put: [{ ...maker, call: { ...maker.call, input: { ...maker.call.input, ...fields } } }], remove: [] };
}

/** What an update names, without what says where it goes. */
function edit(input: TaskEdit & { readonly task_id: string; readonly base_version?: number }): TaskEdit {
  const { task_id: _id, base_version: _base, ...fields } = input;
  return fields;
}

function onlySafe(fields: TaskEdit): boolean {
  return Object.keys(fields).every((name) => SAFE.has(name));
}

/** What an edit does to a task, as far as it can be foreseen here. Pure; what the server answers then counts. */

import { localTagId } from "./ids";
import type { NewTask, Reminder, ReminderSpec, Tag, Task, TaskEdit } from "./types";

/** The color of a tag until the server has given it one. */
const NO_COLOR = "#57534e";

/** The fold of a name: names that differ in case only are one tag. */
export function tagKey(name: string): string {
  return name.toLowerCase();
}

/** A task that the server does not have yet. `tags` are those known, by `tagKey`. */
export function newTask(
  input: NewTask & { readonly id: string },
  madeAt: string,
  tags: ReadonlyMap<string, Tag>,
): Task {
  const empty: Task = {
    id: input.id,
    title: input.title,
    description: "",
    status: "open",
    priority: "medium",
    due_date: null,
    time_zone: input.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    all_day: false,
    tags: [],
    reminder_offset: null,
    reminders: [],
    recurrence: null,
    recurrence_id: null,
    occurrence: null,
    version: 0,
    created_at: madeAt,
    updated_at: madeAt,
    completed_at: null,
  };
  return edited(empty, input, madeAt, tags);
}

/** The task with an edit of `madeAt`. */
export function edited(task: Task, edit: TaskEdit, madeAt: string, tags: ReadonlyMap<string, Tag>): Task {
  const due = edit.due_date === undefined ? task.due_date : edit.due_date;
  const dueNamed = edit.due_date !== undefined || typeof edit.all_day === "boolean";
  // What counts from the due date goes with it, as on the server.
  const unbound = edit.due_date === null && edit.reminder_offset === undefined;
  const specs = edit.reminders ?? (unbound ? task.reminders.filter((one) => one.offset === null) : undefined);
  return {
    ...task,
    title: edit.title ?? task.title,
    description: edit.description ?? task.description,
    priority: edit.priority ?? task.priority,
    due_date: due,
    time_zone: edit.time_zone ?? task.time_zone,
    all_day: dueNamed ? (edit.all_day ?? (due !== null && !due.includes("T"))) : task.all_day,
    tags: editedTags(task.tags, edit, tags),
    reminder_offset: unbound ? null : edit.reminder_offset === undefined ? task.reminder_offset : edit.reminder_offset,
    reminders: specs === undefined ? task.reminders : specs.map((spec, index) => planned(spec, index, task)),
    recurrence: edit.recurrence === undefined ? task.recurrence : edit.recurrence,
    updated_at: madeAt,
  };
}

/** The task with another tag in place of the one of this id, or (null) without it. The same task where it has none. */
export function retagged(task: Task, id: string, tag: Tag | null): Task {
  if (!task.tags.some((one) => one.id === id)) {
    return task;
  }
  const tags = task.tags.flatMap((one) => (one.id !== id ? [one] : tag === null ? [] : [tag]));
  return { ...task, tags: sorted(tags) };
}

function editedTags(current: readonly Tag[], edit: TaskEdit, known: ReadonlyMap<string, Tag>): readonly Tag[] {
  if (edit.tags === undefined && edit.add_tags === undefined && edit.remove_tags === undefined) {
    return current;
  }
  const removed = new Set(edit.remove_tags?.map(tagKey));
  const byKey = new Map<string, Tag>();
  for (const tag of edit.tags === undefined ? current : []) {
    if (!removed.has(tagKey(tag.name))) {
      byKey.set(tagKey(tag.name), tag);
    }
  }
  for (const name of [...(edit.tags ?? []), ...(edit.add_tags ?? [])]) {
    const key = tagKey(name);
    byKey.set(key, byKey.get(key) ?? known.get(key) ?? { id: localTagId(key), name, color: NO_COLOR });
  }
  return sorted([...byKey.values()]);
}

/** The server answers a task's tags by name. */
function sorted(tags: readonly Tag[]): readonly Tag[] {
  return tags.toSorted((one, other) => (tagKey(one.name) < tagKey(other.name) ? -1 : 1));
}

/** A reminder that the server has yet to plan: its time is the server's to tell where it is an offset. */
function planned(spec: ReminderSpec | Reminder, index: number, task: Task): Reminder {
  if ("scheduled_time" in spec) {
    return spec;
  }
  return {
    id: `local:${index}`,
    offset: spec.offset ?? null,
    at: spec.at ?? null,
    scheduled_time: spec.at ?? task.due_date ?? task.updated_at,
    status: "pending",
    delivery_channel: spec.delivery_channel ?? "all",
  };
}

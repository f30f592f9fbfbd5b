import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, test } from "vitest";

import { openDatabase } from "../src/sync/database";
import type { Database } from "../src/sync/database";
import { newTask } from "../src/sync/edits";
import { add, settle, take } from "../src/sync/queue";
import { apply, cursorOf, dismiss, read, replace, tidy } from "../src/sync/store";
import type { Change, Task } from "../src/sync/types";
import { USER } from "./devices";

const AT = "2027-01-01T00:00:00Z";
const TAG = { id: "t1", name: "home", color: "#0369a1" };
let database: Database;

beforeEach(async () => {
  database = await openDatabase(new IDBFactory(), USER, () => undefined);
});

function task(id: string, version: number, more: Partial<Task> = {}): Task {
  return { ...newTask({ id, title: `${id} v${version}` }, AT, new Map()), version, ...more };
}

function change(seq: number, type: string, about: Task, more: Partial<Change> = {}): Change {
  return { seq, type, entity_type: "task", entity_id: about.id, occurred_at: AT, task: about, ...more };
}

async function titles(): Promise<string[]> {
  return (await read(database)).tasks.map((one) => one.title);
}

test("a change that comes again is ignored: what was deleted stays deleted", async () => {
  await replace(database, { tasks: [], tags: [], seq: 4 });
  const changes = [change(5, "task.created", task("a", 1)), change(6, "task.deleted", task("a", 2))];
  await apply(database, 4, { changes, seq: 6 });
  await apply(database, 4, { changes: changes.slice(0, 1), seq: 5 });
  expect(await titles()).toEqual([]);
  expect(await cursorOf(database)).toBe(6);
});

test("a window with a gap before it changes nothing", async () => {
  expect(await apply(database, 0, { changes: [change(1, "task.created", task("a", 1))], seq: 1 })).toBe("gap");
  await replace(database, { tasks: [], tags: [], seq: 4 });
  expect(await apply(database, 5, { changes: [change(6, "task.created", task("a", 1))], seq: 6 })).toBe("gap");
  expect(await titles()).toEqual([]);
  expect(await cursorOf(database)).toBe(4);
});

test("a page of a snapshot that was ahead of the log is not set back by it", async () => {
  await replace(database, { tasks: [task("a", 3)], tags: [], seq: 4 });
  await apply(database, 4, { changes: [change(5, "task.updated", task("a", 2))], seq: 5 });
  expect(await titles()).toEqual(["a v3"]);
});

test("a tag that is renamed or deleted is so in every task", async () => {
  await replace(database, { tasks: [task("a", 1, { tags: [TAG] }), task("b", 1)], tags: [TAG], seq: 1 });
  const about = { entity_type: "tag", entity_id: TAG.id, occurred_at: AT };
  const renamed = { ...TAG, name: "house" };
  const touched = await apply(database, 1, { changes: [{ ...about, seq: 2, type: "tag.updated", tag: renamed }], seq: 2 });
  expect(touched).toMatchObject({ tasks: ["a"], tags: true });
  expect((await read(database)).tasks[0]?.tags).toEqual([renamed]);
  await apply(database, 2, { changes: [{ ...about, seq: 3, type: "tag.deleted", tag: renamed }], seq: 3 });
  expect((await read(database)).tasks[0]?.tags).toEqual([]);
  expect((await read(database)).tags).toEqual([]);
});

test("a reminder that was sent is so in its task", async () => {
  const reminder = { id: "r", offset: "PT1H", at: null, scheduled_time: AT, status: "pending", delivery_channel: "all" } as const;
  await replace(database, { tasks: [task("a", 1, { reminders: [reminder] })], tags: [], seq: 1 });
  const sent = { ...reminder, status: "sent" } as const;
  const event = { seq: 2, type: "reminder.sent", entity_type: "reminder", entity_id: "r", occurred_at: AT };
  await apply(database, 1, { changes: [{ ...event, task_id: "a", reminder: sent }], seq: 2 });
  expect((await read(database)).tasks[0]?.reminders).toEqual([sent]);
});

test("a conflict is told once, by the answer and by the event, and not again when it is dismissed", async () => {
  const conflicts = [{ field: "title", winner: "yours", yours: "a v2", theirs: "a v1" }] as const;
  await replace(database, { tasks: [task("a", 1)], tags: [], seq: 1 });
  await add(database, { function: "update-task", input: { task_id: "a", title: "a v2" } }, "k", AT);
  await take(database, 200);
  await settle(database, [{ key: "k", status: 200, answer: { ...task("a", 2), conflicts } }], AT);
  const [notice] = (await read(database)).notices;
  expect(notice).toMatchObject({ kind: "conflict", own: true, winner: "yours", theirs: "a v1" });
  await dismiss(database, notice?.id ?? "");
  await apply(database, 1, { changes: [change(2, "task.updated", task("a", 2), { conflicts })], seq: 2 });
  expect((await read(database)).notices).toEqual([{ ...notice, dismissed: true }]);
  await tidy(database, Date.parse(AT) + 8 * 24 * 3600 * 1000);
  expect((await read(database)).notices).toEqual([]);
});

test("what was sent is sent again as it was, whatever is done after", async () => {
  await replace(database, { tasks: [task("a", 7)], tags: [], seq: 1 });
  await add(database, { function: "update-task", input: { task_id: "a", title: "one" } }, "k1", AT);
  const first = await take(database, 200);
  await add(database, { function: "update-task", input: { task_id: "a", title: "two" } }, "k2", AT);
  expect(first[0]?.call.input).toEqual({ task_id: "a", title: "one", base_version: 7 });
  expect(await take(database, 200)).toEqual(first);
  await settle(database, [{ key: "k1", status: 200, answer: task("a", 8) }], AT);
  expect((await take(database, 200)).map(({ key, call }) => [key, call.input])).toEqual([
    ["k2", { task_id: "a", title: "two", base_version: 8 }],
  ]);
});

test("an edit goes out from the version that the user saw, where others have changed the task since", async () => {
  await replace(database, { tasks: [task("a", 7)], tags: [], seq: 1 });
  await add(database, { function: "update-task", input: { task_id: "a", title: "mine" } }, "k", AT);
  await apply(database, 1, { changes: [change(2, "task.updated", task("a", 8))], seq: 2 });
  expect((await take(database, 200))[0]?.call.input).toMatchObject({ base_version: 7 });
});

test("a command that the server puts off stays; those behind it that were carried out do not come again", async () => {
  for (const id of ["a", "b"]) {
    await add(database, { function: "create-task", input: { id, title: id } }, id, AT);
  }
  await take(database, 200);
  const error = { code: 8, message: "too many", details: [] };
  await settle(database, [{ key: "a", status: 429, error }, { key: "b", status: 200, answer: task("b", 1) }], AT);
  expect((await take(database, 200)).map((command) => command.key)).toEqual(["a"]);
});

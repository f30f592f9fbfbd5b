import fc from "fast-check";
import { expect, test } from "vitest";

import { enqueue } from "../src/sync/coalesce";
import { newTask } from "../src/sync/edits";
import { project } from "../src/sync/project";
import type { Call, Command, Task, TaskEdit } from "../src/sync/types";

const AT = Date.parse("2027-01-01T00:00:00Z");
const SERVER: Task = { ...newTask({ id: "a", title: "there", tags: ["home"] }, new Date(AT).toISOString(), new Map()), version: 3 };
const STATE = { tasks: new Map([["a", SERVER]]), tags: new Map() };

const names = fc.subarray(["home", "Home", "shop", "work"]);
const edit: fc.Arbitrary<TaskEdit> = fc.record(
  {
    title: fc.constantFrom("one", "two"),
    description: fc.constantFrom("", "more"),
    priority: fc.constantFrom("low" as const, "high" as const),
    due_date: fc.constantFrom("2027-02-01", null),
    tags: names,
  },
  { requiredKeys: [] },
);
const tagEdit: fc.Arbitrary<TaskEdit> = fc.oneof(names.map((add_tags) => ({ add_tags })), names.map((remove_tags) => ({ remove_tags })));
const id = fc.constantFrom("a", "b");
const call: fc.Arbitrary<Call> = fc.oneof(
  fc.constant<Call>({ function: "create-task", input: { id: "b", title: "new" } }),
  fc.tuple(id, fc.oneof(edit, tagEdit)).map(([task_id, fields]): Call => ({ function: "update-task", input: { task_id, ...fields } })),
  id.map((task_id): Call => ({ function: "complete-task", input: { task_id, action: "complete" } })),
  id.map((task_id): Call => ({ function: "delete-task", input: { task_id, scope: "following" } })),
);
/** Calls, the ms before each, and whether the queue is sent after it. An id is made once, and not named before. */
const calls = fc
  .array(fc.tuple(call, fc.nat(15_000), fc.boolean()), { maxLength: 12 })
  .map((all) => all.filter(([one], index) => about(one) === "a" || isFirst(one, all.slice(0, index).map(([before]) => before))));

function about(one: Call): string {
  return one.function === "create-task" ? "b" : "task_id" in one.input ? one.input.task_id : "";
}

function isFirst(one: Call, before: readonly Call[]): boolean {
  return before.some((other) => other.function === "create-task") !== (one.function === "create-task");
}

/** What is shown of a task, but for when it was changed. */
function shown(commands: readonly Command[]): unknown {
  const { tasks } = project(STATE, commands);
  return [...tasks.values()].map(({ updated_at: _at, created_at: _made, completed_at: _done, tags, ...task }) => ({
    ...task,
    tags: tags.map((tag) => tag.name.toLowerCase()),
  }));
}

test("a queue whose commands were merged shows what all of them show, and what was sent is left alone", () => {
  fc.assert(
    fc.property(calls, (made) => {
      let merged: Command[] = [];
      const all: Command[] = [];
      let at = AT;
      for (const [index, [one, wait, sends]] of made.entries()) {
        at += wait;
        const next: Command = { id: index, key: `k${index}`, call: one, made_at: new Date(at).toISOString(), base: null, stage: "waiting" };
        const { id: _id, ...fresh } = next;
        const before = merged.filter((command) => command.stage === "sent");
        const { put, remove } = enqueue(merged, fresh);
        for (const command of put) {
          const place = merged.findIndex((known) => known.id === command.id);
          merged = place === -1 ? [...merged, { ...command, id: index }] : merged.with(place, { ...command, id: merged[place]?.id ?? 0 });
        }
        merged = merged.filter((command) => !remove.includes(command.id));
        expect(merged.filter((command) => command.stage === "sent")).toEqual(before);
        if (sends) {
          merged = merged.map((command) => ({ ...command, stage: "sent" }));
        }
        all.push(next);
      }
      expect(shown(merged)).toEqual(shown(all));
    }),
    { numRuns: 1000 },
  );
});

const waiting = (one: Call, seconds: number): Command => ({
  id: seconds, key: `k${seconds}`, call: one, made_at: new Date(AT + seconds * 1000).toISOString(), base: 3, stage: "waiting",
});
const update = (fields: TaskEdit): Call => ({ function: "update-task", input: { task_id: "a", ...fields } });

test("an old edit is not merged into a later one of another field, which would make it win as a late one", () => {
  const queue = [waiting(update({ title: "one" }), 0)];
  expect(enqueue(queue, waiting(update({ description: "more" }), 3600)).put[0]).toMatchObject({ key: "k3600" });
  expect(enqueue(queue, waiting(update({ description: "more" }), 2)).put[0]).toMatchObject({ key: "k0", base: 3 });
  expect(enqueue(queue, waiting(update({ title: "two" }), 3600)).put[0]).toMatchObject({ key: "k0", base: 3 });
});

test("an edit that the server may refuse takes no other one with it", () => {
  const queue = [waiting({ function: "create-task", input: { id: "a", title: "new" } }, 0)];
  expect(enqueue(queue, waiting(update({ due_date: "2027-02-30" }), 1)).put[0]).toMatchObject({ key: "k1" });
});

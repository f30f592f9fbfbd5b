import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

import { newTask } from "../src/sync/edits";

interface Schema {
  readonly properties: Readonly<Record<string, unknown>>;
}

const { components } = JSON.parse(readFileSync(new URL("../../docs/openapi.json", import.meta.url), "utf8")) as {
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};

function properties(schema: string): string[] {
  return Object.keys(components.schemas[schema]?.properties ?? {}).toSorted();
}

test("a task that is made here has the fields that the API answers", () => {
  const made = newTask({ id: "a", title: "Tea", tags: ["home"], reminders: [{ at: "2027-01-01T00:00:00Z" }] }, "2027-01-01T00:00:00Z", new Map());
  expect(Object.keys(made).toSorted()).toEqual(properties("Task"));
  expect(Object.keys(made.tags[0] ?? {}).toSorted()).toEqual(properties("Tag"));
  // The server alone says which reminder another one repeats.
  const reminder = { ...made.reminders[0], snoozed_from: null };
  expect(Object.keys(reminder).toSorted()).toEqual(properties("Reminder"));
});

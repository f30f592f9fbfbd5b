import { afterEach, describe, expect, test } from "vitest";

import type { SyncClient } from "../src/sync";
import { Device, settled, titles, until } from "./devices";
import { World } from "./network";

const open: SyncClient[] = [];

async function tabOf(device: Device, options: Parameters<Device["tab"]>[0] = {}): Promise<SyncClient> {
  const client = await device.tab(options);
  open.push(client);
  return client;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

describe("one device", () => {
  test("a task made offline and edited offline is there at once, and arrives as one command", async () => {
    const world = new World();
    const device = new Device(world);
    device.link.online = false;
    const client = await tabOf(device);
    const id = await client.createTask({ title: "Tea", tags: ["home"] });
    await client.updateTask(id, { title: "Green tea", add_tags: ["shop"] });
    expect(titles(client)).toEqual(["Green tea"]);
    expect(client.getSnapshot().pending).toEqual(new Set([id]));
    device.link.goOnline();
    await settled(client);
    expect(world.server.tasks.get(id)?.tags.map((tag) => tag.name)).toEqual(["home", "shop"]);
    expect(world.server.carriedOut).toHaveLength(1);
    expect(client.getSnapshot().pending.size).toBe(0);
  });

  test("a refused command vanishes from the view and is reported until it is dismissed", async () => {
    const world = new World();
    const device = new Device(world);
    const client = await tabOf(device);
    const id = await client.createTask({ title: "Tea" });
    await settled(client);
    device.link.goOffline();
    await client.updateTask(id, { title: "Green tea" });
    world.server.carryOut({ key: "other", function: "delete-task", input: { task_id: id }, made_at: "2027-01-01T00:00:00Z" });
    expect(titles(client)).toEqual(["Green tea"]);
    device.link.goOnline();
    await until(client, () => client.getSnapshot().rejected.length > 0);
    await settled(client);
    expect(titles(client)).toEqual([]);
    const [notice] = client.getSnapshot().rejected;
    expect(notice).toMatchObject({ status: 404, call: { function: "update-task", input: { title: "Green tea" } } });
    await client.dismiss(notice?.id ?? "");
    expect(client.getSnapshot().rejected).toEqual([]);
  });

  test("a recurring task completed offline shows completed; the next occurrence comes from the server", async () => {
    const device = new Device(new World());
    const client = await tabOf(device);
    const id = await client.createTask({ title: "Rent", due_date: "2027-01-31", recurrence: { type: "monthly" } });
    await settled(client);
    device.link.goOffline();
    await client.completeTask(id);
    expect([...client.getSnapshot().tasks.values()].map((task) => task.status)).toEqual(["completed"]);
    device.link.goOnline();
    await until(client, () => client.getSnapshot().tasks.size === 2);
    const next = [...client.getSnapshot().tasks.values()].find((task) => task.id !== id);
    expect(next).toMatchObject({ status: "open", occurrence: 2 });
  });

  test("a crash between an answer and what follows repeats nothing", async () => {
    const world = new World();
    const device = new Device(world);
    const client = await tabOf(device);
    device.link.faults.push("lost answer", "lost request", "lost request", "lost request", "lost request");
    await client.createTask({ title: "Tea" });
    await until(client, () => world.server.tasks.size === 1);
    await client.close();
    device.link.faults.length = 0;
    const again = await tabOf(device);
    expect(titles(again)).toEqual(["Tea"]);
    await settled(again);
    expect(world.server.carriedOut).toHaveLength(1);
    expect(device.link.batches).toHaveLength(2);
    expect(device.link.batches[0]).toEqual(device.link.batches[1]);
  });

  test("partial results keep the rest, in order; a batch that is too large is halved", async () => {
    const world = new World();
    const device = new Device(world);
    device.link.online = false;
    const client = await tabOf(device);
    for (let number = 0; number < 9; number += 1) {
      await client.createTask({ title: `Task ${number}` });
    }
    device.link.most = 4;
    device.link.faults.push("partial", "busy");
    device.link.goOnline();
    await settled(client);
    expect(Array.from(world.server.tasks.values(), (task) => task.title)).toEqual(titles(client));
    expect(world.server.carriedOut).toHaveLength(9);
  });

  test("a refused token is renewed once for all, and the request repeated", async () => {
    const device = new Device(new World());
    device.link.refusals = 1;
    let renewed = 0;
    const renew = (): Promise<{ value: string }> => Promise.resolve({ value: `token ${(renewed += 1)}` });
    const client = await tabOf(device, { tokens: { current: () => Promise.resolve({ value: "old" }), renew } });
    await client.createTask({ title: "Tea" });
    await settled(client);
    expect(renewed).toBe(1);
    expect(client.getSnapshot().status.signedIn).toBe(true);
  });

  test("a tag made offline is renamed while its answer is awaited, by the id that the server gives it", async () => {
    const world = new World();
    const device = new Device(world);
    const client = await tabOf(device);
    device.link.faults.push("lost answer", "lost request");
    const id = await client.createTag("home");
    await until(client, () => world.server.tags.size === 1);
    await client.updateTag(id, { name: "house" });
    await settled(client);
    await until(client, () => [...client.getSnapshot().tags.values()].some((tag) => tag.name === "house"));
    expect([...world.server.tags.values()].map((tag) => tag.name)).toEqual(["house"]);
    expect(client.getSnapshot().rejected).toEqual([]);
  });

  test("getSnapshot answers the same object until something changes", async () => {
    const client = await tabOf(new Device(new World()));
    await settled(client);
    const before = client.getSnapshot();
    expect(client.getSnapshot()).toBe(before);
    await client.createTask({ title: "Tea" });
    expect(client.getSnapshot()).not.toBe(before);
    await expect(client.updateTask("x", { title: "" })).rejects.toThrow(RangeError);
  });
});

describe("two devices", () => {
  test("edits of other fields merge; of the same field the later wins, and both devices are told", async () => {
    const world = new World();
    const [one, other] = [new Device(world), new Device(world)];
    let clock = Date.now();
    const [left, right] = [await tabOf(one, { now: () => clock }), await tabOf(other, { now: () => clock })];
    const id = await left.createTask({ title: "Tea" });
    await until(right, () => right.getSnapshot().tasks.has(id));
    one.link.goOffline();
    other.link.goOffline();
    await left.updateTask(id, { title: "Green tea", priority: "high" });
    clock += 60_000;
    await right.updateTask(id, { title: "Black tea", description: "Assam" });
    other.link.goOnline();
    await settled(right);
    one.link.goOnline();
    await settled(left);
    await until(right, () => right.getSnapshot().tasks.get(id)?.priority === "high");
    expect(left.getSnapshot().tasks.get(id)).toEqual(world.server.tasks.get(id));
    expect(world.server.tasks.get(id)).toMatchObject({ title: "Black tea", description: "Assam", priority: "high" });
    expect(left.getSnapshot().conflicts).toMatchObject([{ field: "title", winner: "theirs", own: true, yours: "Green tea" }]);
    expect(right.getSnapshot().conflicts).toMatchObject([{ field: "title", winner: "theirs", own: false }]);
  });

  test("edits in a row are no conflict with themselves, whether they are queued or on their way", async () => {
    const world = new World();
    const device = new Device(world);
    const client = await tabOf(device);
    const id = await client.createTask({ title: "Tea" });
    await settled(client);
    device.link.goOffline();
    await client.updateTask(id, { title: "Green tea" });
    await client.completeTask(id);
    await client.updateTask(id, { title: "Black tea" });
    device.link.faults.push("lost answer");
    device.link.goOnline();
    await client.updateTask(id, { title: "White tea" });
    await settled(client);
    expect(world.server.tasks.get(id)).toMatchObject({ title: "White tea", status: "completed" });
    expect(client.getSnapshot().conflicts).toEqual([]);
  });

  test("a log that is gone is replaced by a snapshot, and the queue stays", async () => {
    const world = new World();
    const [one, other] = [new Device(world), new Device(world)];
    const [left, right] = [await tabOf(one), await tabOf(other)];
    await left.createTask({ title: "Tea" });
    await until(right, () => titles(right).length === 1);
    other.link.goOffline();
    await right.createTask({ title: "Milk" });
    for (const title of ["Bread", "Butter", "Jam", "Salt"]) {
      await left.createTask({ title });
    }
    await settled(left);
    world.server.compact();
    other.link.goOnline();
    await settled(right);
    expect(titles(right)).toEqual(["Bread", "Butter", "Jam", "Milk", "Salt", "Tea"]);
  });
});

describe("tabs", () => {
  test("one leads and sends what another one does; when it closes the next one leads", async () => {
    const world = new World();
    const device = new Device(world);
    const [first, second] = [await tabOf(device), await tabOf(device)];
    await settled(first);
    await until(second, () => second.getSnapshot().status.connected);
    expect([first, second].map((tab) => tab.getSnapshot().status.leader)).toEqual([true, false]);
    await second.createTask({ title: "Tea" });
    await until(first, () => world.server.tasks.size === 1 && titles(first).length === 1);
    await first.close();
    await until(second, () => second.getSnapshot().status.leader);
    await second.createTask({ title: "Milk" });
    await settled(second);
    expect(Array.from(world.server.tasks.values(), (task) => task.title)).toEqual(["Tea", "Milk"]);
  });

  test("without Web Locks every tab leads, and every command is carried out once", async () => {
    const world = new World();
    const device = new Device(world);
    const [first, second] = [await tabOf(device, { locks: null }), await tabOf(device, { locks: null })];
    await Promise.all(["Tea", "Milk", "Bread", "Jam"].map((title, at) => (at % 2 ? first : second).createTask({ title })));
    await Promise.all([settled(first), settled(second)]);
    await until(first, () => titles(first).length === 4);
    await until(second, () => titles(second).length === 4);
    expect(world.server.tasks.size).toBe(4);
    expect(new Set(world.server.carriedOut).size).toBe(world.server.carriedOut.length);
    expect([...first.getSnapshot().rejected, ...second.getSnapshot().rejected]).toEqual([]);
  });
});

import { IDBFactory } from "fake-indexeddb";
import { afterAll, expect, test } from "vitest";
import WebSocket from "ws";

import { SyncClient } from "../src/sync";
import type { AccessToken, Task, Tokens } from "../src/sync";
import { until } from "./devices";

const URL = process.env["TICKLER_URL"] ?? "http://127.0.0.1:8080";
const PATIENCE = 30_000;

interface Issued {
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token: string;
  readonly user_id: string;
}

async function issued(path: string, body: object): Promise<Issued> {
  const answer = await fetch(`${URL}/api/auth/${path}`, { method: "POST", body: JSON.stringify(body) });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Issued;
}

/** Tokens of one device, renewed by its refresh token. */
class DeviceTokens implements Tokens {
  private token: AccessToken;
  private refresh: string;

  constructor(signedIn: Issued) {
    [this.token, this.refresh] = [accessOf(signedIn), signedIn.refresh_token];
  }

  current(): Promise<AccessToken> {
    return Promise.resolve(this.token);
  }

  async renew(refused: AccessToken): Promise<AccessToken> {
    if (refused.value === this.token.value) {
      const next = await issued("refresh", { refresh_token: this.refresh });
      [this.token, this.refresh] = [accessOf(next), next.refresh_token];
    }
    return this.token;
  }
}

function accessOf({ access_token, expires_in }: Issued): AccessToken {
  return { value: access_token, expiresAt: Date.now() + expires_in * 1000 };
}

/** A device whose network can be turned off. */
class Device {
  private online = true;
  private tell: () => void = () => undefined;
  readonly client: SyncClient;

  constructor(signedIn: Issued) {
    this.client = new SyncClient({
      url: URL,
      tokens: new DeviceTokens(signedIn),
      fetch: (input, init) => (this.online ? fetch(input, init) : Promise.reject(new TypeError("offline"))),
      WebSocket: WebSocket,
      indexedDB: new IDBFactory(),
      locks: null,
      channel: null,
      network: {
        isOnline: () => this.online,
        watch: (listener) => {
          this.tell = listener;
          return () => undefined;
        },
      },
    });
  }

  turn(online: boolean): void {
    this.online = online;
    this.tell();
  }

  tasks(): Task[] {
    return byId([...this.client.getSnapshot().tasks.values()]);
  }
}

function byId(tasks: Task[]): Task[] {
  return tasks.toSorted((one, other) => (one.id < other.id ? -1 : 1));
}

async function listed(token: string): Promise<Task[]> {
  const answer = await fetch(`${URL}/api/tasks?limit=200`, { headers: { Authorization: `Bearer ${token}` } });
  return byId(((await answer.json()) as { items: Task[] }).items);
}

const devices: Device[] = [];

afterAll(async () => {
  await Promise.all(devices.map((device) => device.client.close()));
});

test("two devices that edit offline converge to what the server lists, and are told of what conflicted", async () => {
  const account = { email: `sync-${crypto.randomUUID()}@example.org`, password: crypto.randomUUID() };
  const first = await issued("signup", account);
  const [one, other] = [new Device(first), new Device(await issued("token", account))];
  devices.push(one, other);
  for (const { client } of devices) {
    await client.open(first.user_id);
    await until(client, () => client.getSnapshot().status.connected, PATIENCE);
  }

  // Live: what one device makes is on the other one.
  const tea = await one.client.createTask({ title: "Tea", tags: ["home"] });
  const rent = await one.client.createTask({ title: "Rent", due_date: "2027-01-31", recurrence: { type: "monthly" } });
  const milk = await one.client.createTask({ title: "Milk" });
  await until(other.client, () => [tea, rent, milk].every((id) => other.client.getSnapshot().tasks.has(id)), PATIENCE);

  // Offline: both edit, the second later than the first.
  one.turn(false);
  other.turn(false);
  await one.client.updateTask(tea, { title: "Green tea", priority: "high" });
  await one.client.completeTask(rent);
  const bread = await one.client.createTask({ title: "Bread" });
  await one.client.updateTask(bread, { description: "rye", add_tags: ["shop"] });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await other.client.updateTask(tea, { title: "Black tea", description: "Assam" });
  await other.client.deleteTask(milk);
  expect(one.client.getSnapshot().tasks.get(rent)?.status).toBe("completed");
  other.turn(true);
  await until(other.client, () => other.client.getSnapshot().status.pending === 0, PATIENCE);
  one.turn(true);

  const done = (device: Device): boolean => {
    const { tasks, status, pending } = device.client.getSnapshot();
    const next = [...tasks.values()].some((task) => task.id !== rent && task.title === "Rent");
    return next && status.connected && pending.size === 0 && tasks.has(bread) && tasks.get(tea)?.priority === "high";
  };
  for (const device of devices) {
    await until(device.client, () => done(device), PATIENCE);
  }
  const server = await listed(first.access_token);
  for (const device of devices) {
    await until(device.client, () => JSON.stringify(device.tasks()) === JSON.stringify(server), 5000).catch(() => undefined);
    expect(device.tasks()).toEqual(server);
    expect(device.client.getSnapshot().rejected).toEqual([]);
  }
  expect(server.map((task) => task.title).toSorted()).toEqual(["Black tea", "Bread", "Rent", "Rent"]);
  expect(server.find((task) => task.id === tea)).toMatchObject({ description: "Assam", priority: "high" });
  expect(one.client.getSnapshot().conflicts).toMatchObject([{ task_id: tea, field: "title", winner: "theirs", own: true }]);
  expect(other.client.getSnapshot().conflicts).toMatchObject([{ task_id: tea, field: "title" }]);
});

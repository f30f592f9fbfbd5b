import fc from "fast-check";
import { expect, test } from "vitest";

import type { SyncClient, Task } from "../src/sync";
import { Device, settled, until } from "./devices";
import { World } from "./network";
import type { Fault } from "./network";

type Step =
  | { readonly kind: "create"; readonly word: string; readonly tag: boolean }
  | { readonly kind: "edit" | "describe" | "tag" | "untag"; readonly at: number; readonly word: string }
  | { readonly kind: "complete" | "reopen" | "delete"; readonly at: number }
  | { readonly kind: "retag"; readonly word: string }
  | { readonly kind: "fault"; readonly fault: Fault }
  | { readonly kind: "offline" | "online" | "cut" | "stutter" | "forget" | "tab" | "crash" | "pause" };

const word = fc.constantFrom("tea", "milk", "bread", "jam");
const at = fc.nat(5);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("create" as const), word, tag: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("edit", "describe", "tag", "untag"), at, word }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("complete", "reopen", "delete"), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("retag" as const), word }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("fault" as const),
      fault: fc.constantFrom("lost request", "lost answer", "partial", "busy"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("offline", "online") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("cut", "stutter", "forget", "tab", "crash", "pause") }) },
);
const run = fc.array(fc.tuple(fc.nat(2), step), { minLength: 5, maxLength: 40 });

/** A device with one or two tabs: the first one leads, or both where there are no locks. */
class Phone {
  readonly device: Device;
  readonly tabs: SyncClient[] = [];
  private clock = Date.now();

  constructor(
    private readonly world: World,
    private readonly hasLocks: boolean,
  ) {
    this.device = new Device(world);
  }

  async open(tabs = 1): Promise<SyncClient[]> {
    while (this.tabs.length < tabs) {
      this.tabs.push(await this.device.tab({ now: () => (this.clock += 1), ...(!this.hasLocks && { locks: null }) }));
    }
    return this.tabs;
  }

  async take(step: Step): Promise<void> {
    const client = (await this.open()).at(-1);
    if (!client) {
      return;
    }
    const { link } = this.device;
    const { tasks, tags } = client.getSnapshot();
    const task = "at" in step ? [...tasks.values()][step.at % Math.max(1, tasks.size)] : undefined;
    switch (step.kind) {
      case "create":
        await client.createTask({ title: step.word, ...(step.tag && { tags: [step.word] }) });
        return;
      case "retag": {
        const tag = [...tags.values()].find((one) => one.name === step.word);
        await (tag ? client.updateTag(tag.id, { name: `${step.word}!` }) : client.createTag(step.word));
        return;
      }
      case "fault":
        link.faults.push(step.fault);
        return;
      case "offline":
        link.goOffline();
        return;
      case "online":
        link.goOnline();
        return;
      case "cut":
        link.cut();
        return;
      case "stutter":
        link.stutters = !link.stutters;
        return;
      case "forget":
        this.world.server.compact();
        link.cut(4409);
        return;
      case "crash":
        await this.tabs.shift()?.close();
        return;
      case "tab":
        await this.open(2);
        return;
      case "pause":
        await new Promise((resolve) => setTimeout(resolve, 3));
        return;
      default:
        if (task) {
          await act(client, step, task);
        }
    }
  }
}

async function act(client: SyncClient, step: Step, task: Task): Promise<void> {
  switch (step.kind) {
    case "edit":
      return client.updateTask(task.id, { title: step.word });
    case "describe":
      return client.updateTask(task.id, { description: step.word });
    case "tag":
      return client.updateTask(task.id, { add_tags: [step.word] });
    case "untag":
      return client.updateTask(task.id, { remove_tags: [step.word] });
    case "complete":
      return client.completeTask(task.id);
    case "reopen":
      return client.reopenTask(task.id);
    case "delete":
      return client.deleteTask(task.id);
  }
}

test("whatever is done and whatever breaks, all devices have the server's list, and every command is carried out once, in order", async () => {
  await fc.assert(
    fc.asyncProperty(run, fc.boolean(), async (steps, hasLocks) => {
      const world = new World();
      const phones = [0, 1, 2].map(() => new Phone(world, hasLocks));
      try {
        for (const [index, one] of steps) {
          await phones[index]?.take(one);
        }
        const clients = (await Promise.all(phones.map((phone) => phone.open()))).flat();
        phones.forEach(({ device: { link } }) => {
          link.faults.length = 0;
          link.goOnline();
        });
        await Promise.all(clients.map(settled));
        for (const client of clients) {
          await until(client, () => same(client, world));
        }
        const { carriedOut } = world.server;
        expect(new Set(carriedOut).size).toBe(carriedOut.length);
        for (const { device } of phones) {
          // Keys are UUIDv7 of a clock that never stands still, so their order is that in which commands were made.
          const arrived = [...new Set(device.link.batches.flat())];
          expect(arrived).toEqual(arrived.toSorted());
        }
      } finally {
        for (const phone of phones) {
          await Promise.all(phone.tabs.map((tab) => tab.close()));
        }
      }
    }),
    { numRuns: 60, endOnFailure: true },
  );
}, 120_000);

function same(client: SyncClient, { server }: World): boolean {
  const { tasks, tags, pending } = client.getSnapshot();
  const sorted = [...tasks.values()].toSorted((one, other) => (one.id < other.id ? -1 : 1));
  const names = (all: ReadonlyMap<string, { name: string }>): string => Array.from(all.values(), ({ name }) => name).toSorted().join();
  return pending.size === 0 && JSON.stringify(sorted) === JSON.stringify(server.list()) && names(tags) === names(server.tags);
}

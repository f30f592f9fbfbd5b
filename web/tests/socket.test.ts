import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Live } from "../src/sync/socket";
import type { LiveOptions, SocketLike } from "../src/sync/socket";
import { SignedOut } from "../src/sync/transport";
import type { AccessToken } from "../src/sync/transport";

/** The sockets that were opened, the last one last. */
let sockets: Socket[] = [];
let heard: unknown[] = [];
let live: Live;

class Socket implements SocketLike {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly sent: { type: string; token: string; after?: number }[] = [];
  closed = false;

  constructor() {
    sockets.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Socket["sent"][number]);
  }

  close(): void {
    this.closed = true;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

function last(): Socket {
  const socket = sockets.at(-1);
  if (!socket) {
    throw new Error("no socket was opened");
  }
  return socket;
}

let token: AccessToken;
let catchUp: () => Promise<number>;

function begin(more: Partial<LiveOptions> = {}): void {
  live = new Live({
    url: "ws://tickler.test/api/ws/tasks",
    WebSocket: Socket,
    catchUp: () => catchUp(),
    token: () => Promise.resolve(token),
    renew: ({ value }) => {
      token = { value: `${value}+`, expiresAt: Date.now() + 900_000 };
      return Promise.resolve(token);
    },
    onChange: (change) => heard.push(change.seq),
    onHeartbeat: (seq) => heard.push(`heartbeat ${seq}`),
    onReset: () => heard.push("reset"),
    onConnected: (connected) => heard.push(connected),
    onSignedOut: () => heard.push("signed out"),
    backoff: { random: () => 0.999 },
    ...more,
  });
  live.wake();
}

async function opened(): Promise<Socket> {
  await vi.advanceTimersByTimeAsync(0);
  last().onopen?.();
  return last();
}

beforeEach(() => {
  vi.useFakeTimers();
  [sockets, heard] = [[], []];
  token = { value: "t" };
  catchUp = () => Promise.resolve(5);
});

afterEach(() => {
  live.close();
  vi.useRealTimers();
});

test("it says who it is and where to go on, in a message, and tells what it hears in order", async () => {
  begin();
  const socket = await opened();
  expect(socket.sent).toEqual([{ type: "auth", token: "t", after: 5 }]);
  socket.say({ type: "task.created", seq: 6 });
  socket.say({ type: "heartbeat", latest: 6 });
  socket.onmessage?.({ data: "nonsense" });
  socket.say({ type: "task.updated", seq: 7 });
  expect(heard).toEqual([true, 6, "heartbeat 6", 7]);
});

test("silence of 45 s is a lost connection; a heartbeat is none", async () => {
  begin();
  const socket = await opened();
  await vi.advanceTimersByTimeAsync(44_000);
  socket.say({ type: "heartbeat", latest: 5 });
  await vi.advanceTimersByTimeAsync(44_000);
  expect(socket.closed).toBe(false);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket.closed).toBe(true);
  await vi.advanceTimersByTimeAsync(500);
  expect(sockets).toHaveLength(2);
});

test("waits double up to 30 s, and begin anew after a connection that held", async () => {
  begin();
  const waits: number[] = [];
  for (let attempt = 0; attempt < 9; attempt += 1) {
    (await opened()).onclose?.({ code: 1006 });
    const [from, count] = [Date.now(), sockets.length];
    while (sockets.length === count) {
      await vi.advanceTimersByTimeAsync(50);
    }
    waits.push(Math.round((Date.now() - from) / 500) / 2);
  }
  expect(waits).toEqual([0.5, 1, 2, 4, 8, 16, 30, 30, 30]);
  await opened();
  await vi.advanceTimersByTimeAsync(10_000);
  last().onclose?.({ code: 1012 });
  await vi.advanceTimersByTimeAsync(500);
  expect(sockets).toHaveLength(11);
});

test("4401 takes another token before it comes back", async () => {
  begin();
  (await opened()).onclose?.({ code: 4401 });
  await vi.advanceTimersByTimeAsync(500);
  last().onopen?.();
  expect(last().sent[0]?.token).toBe("t+");
});

test("a log that is gone is told before it comes back", async () => {
  begin();
  (await opened()).onclose?.({ code: 4409 });
  expect(heard).toEqual([true, "reset", false]);
});

test("the token is replaced on the open connection before it expires", async () => {
  token = { value: "t", expiresAt: Date.now() + 900_000 };
  begin();
  const socket = await opened();
  await vi.advanceTimersByTimeAsync(0);
  for (let minute = 0; minute < 28; minute += 1) {
    await vi.advanceTimersByTimeAsync(30_000);
    socket.say({ type: "heartbeat", latest: 5 });
  }
  expect(socket.sent.map((message) => message.token)).toEqual(["t", "t+"]);
  expect(sockets).toHaveLength(1);
});

test("where the user has to sign in it waits for that, and not for the clock", async () => {
  catchUp = () => Promise.reject(new SignedOut("token"));
  begin();
  await vi.advanceTimersByTimeAsync(120_000);
  expect([heard, sockets.length]).toEqual([["signed out"], 0]);
  catchUp = () => Promise.resolve(5);
  live.wake();
  await opened();
  expect(heard).toEqual(["signed out", true]);
});

test("a catch-up that fails is a failed attempt; the network's return ends the wait", async () => {
  catchUp = () => Promise.reject(new Error("no answer"));
  begin();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(sockets).toHaveLength(0);
  catchUp = () => Promise.resolve(9);
  live.wake();
  expect((await opened()).sent[0]?.after).toBe(9);
});

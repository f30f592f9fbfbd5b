import fc from "fast-check";
import { expect, test } from "vitest";

import { Backoff } from "../src/sync/backoff";
import { uuid7 } from "../src/sync/ids";
import { Refused, retryAfter, SignedOut, Transport, Unreachable } from "../src/sync/transport";

const { signal } = new AbortController();

function answering(...answers: (Response | Error)[]): { transport: Transport; sent: Headers[]; renewals: () => number } {
  const sent: Headers[] = [];
  let renewals = 0;
  const transport = new Transport({
    url: "",
    tokens: {
      current: () => Promise.resolve({ value: `token ${renewals}` }),
      renew: () => Promise.resolve({ value: `token ${(renewals += 1)}` }),
    },
    fetch: (_input, init) => {
      sent.push(new Headers(init?.headers));
      const answer = answers.shift() ?? new Error("no more answers");
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  });
  return { transport, sent, renewals: () => renewals };
}

const json = (body: unknown, status = 200, headers = {}): Response => Response.json(body, { status, headers });
const ERROR = { code: 8, message: "too many", details: [] };

test("a refused token is renewed once, and requests at once share the renewal", async () => {
  const window = { changes: [], seq: 1, more: false };
  const { transport, sent, renewals } = answering(json(ERROR, 401), json(ERROR, 401), json(window), json(window));
  await Promise.all([transport.window(1, signal), transport.window(1, signal)]);
  expect(renewals()).toBe(1);
  expect(sent.map((headers) => headers.get("Authorization"))).toEqual(["token 0", "token 0", "token 1", "token 1"].map((one) => `Bearer ${one}`));
});

test("a token that is refused again is the user's to replace", async () => {
  const { transport } = answering(json(ERROR, 401), json(ERROR, 401));
  await expect(transport.window(1, signal)).rejects.toThrow(SignedOut);
});

test("errors say their status, what the server said, and how long it wants us to wait", async () => {
  const { transport } = answering(json(ERROR, 429, { "Retry-After": "7" }), new Response("<html>", { status: 502 }), new TypeError("fetch failed"));
  await expect(transport.window(1, signal)).rejects.toMatchObject({ status: 429, error: ERROR, retryAfter: 7000 });
  await expect(transport.window(1, signal)).rejects.toThrow(Refused);
  await expect(transport.window(1, signal)).rejects.toThrow(Unreachable);
});

test("a batch that was cut short answers with what was carried out", async () => {
  const results = [{ key: "k", status: 200, answer: {} }];
  const { transport } = answering(json({ results }, 503));
  expect(await transport.send([], signal)).toEqual(results);
});

test("a snapshot is all of its pages, from the seq of the first", async () => {
  const { transport } = answering(
    json({ tasks: [{ id: "a" }], tags: [{ id: "t" }], seq: 5, next_cursor: "x y" }),
    json({ tasks: [{ id: "b" }], tags: [], seq: 5, next_cursor: null }),
  );
  expect(await transport.snapshot(signal)).toEqual({ tasks: [{ id: "a" }, { id: "b" }], tags: [{ id: "t" }], seq: 5 });
});

test("Retry-After is seconds or a date", () => {
  expect(retryAfter("3", 0)).toBe(3000);
  expect(retryAfter("Fri, 01 Jan 2027 00:00:10 GMT", Date.parse("2027-01-01T00:00:00Z"))).toBe(10_000);
  expect(retryAfter("Fri, 01 Jan 2027 00:00:10 GMT", Date.parse("2028-01-01T00:00:00Z"))).toBe(0);
  expect([retryAfter(null, 0), retryAfter("", 0), retryAfter("soon", 0)]).toEqual([null, null, null]);
});

test("a wait is between nothing and a bound that doubles from 0.5 s to 30 s, and as long as the server asked", () => {
  fc.assert(
    fc.property(fc.nat(100), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(100_000), (attempt, random, asked) => {
      const backoff = new Backoff({ random: () => random });
      for (let past = 0; past < attempt; past += 1) {
        backoff.next();
      }
      const bound = Math.min(30_000, 500 * 2 ** attempt);
      const wait = backoff.next(asked);
      expect(wait).toBe(Math.max(asked, random * bound));
      backoff.reset();
      expect(backoff.next()).toBeLessThan(500);
    }),
  );
});

test("ids are UUIDs of version 7 that begin with the time", () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 48 - 1 }), (now) => {
      const id = uuid7(now);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(now);
    }),
  );
});

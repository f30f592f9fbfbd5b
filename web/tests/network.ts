/** The way from clients to the model of the server: fetch and sockets, and everything that goes wrong on it. */

import type { SocketLike } from "../src/sync/socket";
import type { Change } from "../src/sync/types";
import { Server } from "./server";
import type { SentCommand } from "./server";

/** What becomes of the next request for commands. */
export type Fault = "lost request" | "lost answer" | "partial" | "busy";

const encoded = (body: unknown, status = 200, headers = {}): Response => Response.json(body, { status, headers });

export class World {
  readonly server = new Server();
  readonly links: Link[] = [];

  constructor() {
    this.server.onChange = (change) => {
      this.links.forEach((link) => {
        link.push(change);
      });
    };
  }

  link(): Link {
    const link = new Link(this.server);
    this.links.push(link);
    return link;
  }
}

/** One client's connection. */
export class Link {
  online = true;
  /** Each is for one request for commands. */
  readonly faults: Fault[] = [];
  /** Every batch that arrived: its keys. */
  readonly batches: string[][] = [];
  readonly requests: string[] = [];
  /** Changes come twice on the socket. */
  stutters = false;
  /** How many more requests are refused for their token. */
  refusals = 0;
  /** The most commands in a batch. */
  most = 200;
  private readonly sockets = new Set<FakeSocket>();
  private readonly watchers = new Set<() => void>();

  constructor(readonly server: Server) {}

  readonly fetch: typeof fetch = async (input, init) => {
    await Promise.resolve();
    const url = new URL(input as string, "http://tickler.test");
    this.requests.push(url.pathname + url.search);
    if (!this.online) {
      throw new TypeError("fetch failed");
    }
    if (this.refusals > 0) {
      this.refusals -= 1;
      return encoded({ code: 16, message: "token", details: [] }, 401);
    }
    if (url.pathname === "/api/commands") {
      return this.commands(JSON.parse(init?.body as string) as { commands: SentCommand[] });
    }
    const after = url.searchParams.get("after");
    return encoded(after === null ? this.server.page(url.searchParams.get("cursor")) : this.server.window(Number(after)));
  };

  /** The constructor to give to a client. */
  get WebSocket(): new (url: string) => SocketLike {
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const link = this;
    return class extends FakeSocket {
      constructor() {
        super(link);
        link.sockets.add(this);
      }
    };
  }

  readonly network = {
    isOnline: (): boolean => this.online,
    watch: (listener: () => void): (() => void) => {
      this.watchers.add(listener);
      return () => this.watchers.delete(listener);
    },
  };

  goOffline(): void {
    this.online = false;
    this.cut();
    this.watchers.forEach((tell) => {
      tell();
    });
  }

  goOnline(): void {
    this.online = true;
    this.watchers.forEach((tell) => {
      tell();
    });
  }

  /** Breaks the open sockets. */
  cut(code = 1006): void {
    [...this.sockets].forEach((socket) => {
      socket.end(code);
    });
  }

  push(change: Change): void {
    this.sockets.forEach((socket) => {
      socket.push(change);
    });
  }

  forget(socket: FakeSocket): void {
    this.sockets.delete(socket);
  }

  private commands({ commands }: { commands: SentCommand[] }): Response {
    const fault = this.faults.shift();
    if (fault === "busy") {
      return encoded({ code: 8, message: "busy", details: [] }, 429, { "Retry-After": "0" });
    }
    if (fault === "lost request") {
      throw new TypeError("fetch failed");
    }
    if (commands.length > this.most) {
      return encoded({ code: 3, message: "commands", details: [] }, 413);
    }
    const arrived = fault === "partial" ? commands.slice(0, Math.floor(commands.length / 2)) : commands;
    this.batches.push(arrived.map(({ key }) => key));
    const results = arrived.map((command) => this.server.carryOut(command));
    if (fault === "lost answer") {
      throw new TypeError("terminated");
    }
    return encoded({ results }, fault === "partial" ? 503 : 200);
  }
}

/** A socket of the model's hub: changes after the one that the client has, then live. */
class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onerror: (() => void) | null = null;
  private live = false;
  private ended = false;

  constructor(private readonly link: Link) {
    setTimeout(() => {
      if (!link.online) {
        this.end(1006);
      } else if (!this.ended) {
        this.onopen?.();
      }
    });
  }

  send(text: string): void {
    const { after } = JSON.parse(text) as { after?: number };
    if (after === undefined) {
      return;
    }
    const { server } = this.link;
    if (after < server.kept - 1 || after > server.seq) {
      this.say({ type: "reset" });
      this.end(4409);
      return;
    }
    this.live = true;
    server.log.slice(after).forEach((change) => {
      this.push(change);
    });
  }

  push(change: Change): void {
    if (this.live) {
      this.say(change);
      if (this.link.stutters) {
        this.say(change);
      }
    }
  }

  close(): void {
    this.ended = true;
    this.link.forget(this);
  }

  end(code: number): void {
    if (!this.ended) {
      this.close();
      setTimeout(() => this.onclose?.({ code }));
    }
  }

  private say(message: object): void {
    const data = JSON.stringify(message);
    setTimeout(() => {
      if (!this.ended) {
        this.onmessage?.({ data });
      }
    });
  }
}

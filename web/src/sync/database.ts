/** The database of one user in this browser: what is in it, and how it is opened. */

import { wrap } from "idb";
import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from "idb";

import type { Command, Notice, Tag, Task } from "./types";

const VERSION = 1;

export interface Schema extends DBSchema {
  tasks: { key: string; value: Task };
  tags: { key: string; value: Tag };
  /** "cursor": the seq up to which the log is applied; missing before the first snapshot. */
  meta: { key: string; value: number };
  commands: { key: number; value: Command };
  notices: { key: string; value: Notice };
}

export type Database = IDBPDatabase<Schema>;
export type Writes = IDBPTransaction<Schema, StoreNames<Schema>[], "readwrite">;

/** What a transaction has changed, for whoever holds a copy in memory. */
export interface Touched {
  readonly tasks: readonly string[] | "all";
  readonly tags: boolean;
  readonly commands: boolean;
  readonly notices: boolean;
}

/** Everything may have changed. */
export const EVERYTHING: Touched = { tasks: "all", tags: true, commands: true, notices: true };

/**
 * Opens, and makes where it is missing, `tickler-<userId>`. `lost` is told when the browser or a newer version of
 * the app takes the database away. Rejects with the browser's DOMException where storage is refused.
 */
export async function openDatabase(factory: IDBFactory, userId: string, lost: () => void): Promise<Database> {
  const request = factory.open(databaseName(userId), VERSION);
  request.onupgradeneeded = () => {
    const made = request.result;
    made.createObjectStore("tasks", { keyPath: "id" });
    made.createObjectStore("tags", { keyPath: "id" });
    made.createObjectStore("meta");
    made.createObjectStore("commands", { keyPath: "id", autoIncrement: true });
    made.createObjectStore("notices", { keyPath: "id" });
  };
  const database = (await wrap(request)) as unknown as Database;
  database.onversionchange = () => {
    database.close();
    lost();
  };
  database.onclose = lost;
  return database;
}

/** Deletes all that this browser keeps of a user, unsent commands too: for signing out. */
export async function deleteDatabase(factory: IDBFactory, userId: string): Promise<void> {
  await wrap(factory.deleteDatabase(databaseName(userId)));
}

/** A transaction over everything, done when `write` and the browser are: all of it or nothing. */
export async function writing<T>(database: Database, write: (tx: Writes) => Promise<T>): Promise<T> {
  const tx = database.transaction(["tasks", "tags", "meta", "commands", "notices"], "readwrite");
  // A failure also rejects `done`; it is reported once, by what `write` throws.
  tx.done.catch(() => undefined);
  try {
    const result = await write(tx);
    await tx.done;
    return result;
  } catch (error) {
    try {
      tx.abort();
    } catch {
      // It has ended already.
    }
    throw error;
  }
}

function databaseName(userId: string): string {
  return `tickler-${userId}`;
}

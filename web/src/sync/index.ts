/** What the app uses of the sync client. */

export { SyncClient } from "./client";
export type { Network, SyncOptions } from "./client";
export { deleteDatabase } from "./database";
export type { SyncSnapshot, SyncStatus } from "./memory";
export { SignedOut } from "./transport";
export type { AccessToken, Tokens } from "./transport";
export type * from "./types";

/**
 * What the API says, as docs/openapi.json and the schemas of docs/events have it.
 *
 * Instants are RFC 3339 text, dates YYYY-MM-DD, durations ISO 8601, ids UUIDs.
 */

export type Priority = "low" | "medium" | "high" | "urgent";
export type Channel = "all" | "in_app" | "email" | "web_push" | "webhook";

export interface Tag {
  readonly id: string;
  readonly name: string;
  /** #rrggbb */
  readonly color: string;
}

export interface Reminder {
  readonly id: string;
  readonly offset: string | null;
  readonly at: string | null;
  readonly scheduled_time: string;
  readonly status: "pending" | "sent" | "late" | "cancelled" | "failed";
  readonly delivery_channel: Channel;
  readonly snoozed_from?: string | null;
}

/** One of `offset` (before the due date) and `at`. */
export interface ReminderSpec {
  readonly offset?: string | null;
  readonly at?: string | null;
  readonly delivery_channel?: Channel;
}

/** See `Recurrence` in docs/openapi.json: the typed form, or `rrule` alone. */
export interface Recurrence {
  readonly rrule?: string | null;
  readonly type?: "daily" | "weekly" | "monthly" | "yearly" | "custom" | null;
  readonly unit?: "day" | "week" | "month" | "year" | null;
  readonly interval?: number | null;
  readonly days_of_week?: readonly number[] | null;
  readonly week_of_month?: number | null;
  readonly day_of_month?: number | null;
  readonly month?: number | null;
  readonly end_date?: string | null;
  readonly count?: number | null;
  readonly anchor?: "due_date" | "completion";
  readonly exdates?: readonly string[];
}

export interface Task {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly status: "open" | "completed";
  readonly priority: Priority;
  readonly due_date: string | null;
  readonly time_zone: string;
  readonly all_day: boolean;
  readonly tags: readonly Tag[];
  readonly reminder_offset: string | null;
  readonly reminders: readonly Reminder[];
  readonly recurrence: Recurrence | null;
  readonly recurrence_id: string | null;
  readonly occurrence: number | null;
  readonly version: number;
  readonly created_at: string;
  readonly updated_at: string;
  readonly completed_at: string | null;
}

/** A field that two devices changed at once. `yours` is the value of the edit that was sent later to the server. */
export interface FieldConflict {
  readonly field: string;
  readonly winner: "yours" | "theirs";
  readonly yours: unknown;
  readonly theirs: unknown;
}

/** A change of the user's log: of GET /api/sync and of the socket. `seq` has no gaps and is in commit order. */
export interface Change {
  readonly type: string;
  readonly seq: number;
  readonly entity_type: string;
  readonly entity_id: string;
  readonly occurred_at: string;
  readonly task?: Task;
  readonly tag?: Tag;
  readonly task_id?: string;
  readonly reminder?: Reminder;
  readonly conflicts?: readonly FieldConflict[];
}

/** The answer of GET /api/sync?after=N: what changed after N, up to and with `seq`. */
export interface Window {
  readonly changes: readonly Change[];
  readonly seq: number;
  readonly more?: boolean;
  /** N is no place in the log that is kept: a snapshot has to be loaded. */
  readonly reset?: boolean;
}

/** One page of the answer of GET /api/sync without `after`; `seq` is that of the first page. */
export interface SnapshotPage {
  readonly tasks: readonly Task[];
  readonly tags: readonly Tag[];
  readonly seq: number;
  readonly next_cursor: string | null;
}

/** What a user may set of a task. Left out is unchanged; null clears. */
export interface TaskFields {
  readonly title?: string;
  readonly description?: string;
  readonly priority?: Priority;
  readonly due_date?: string | null;
  readonly time_zone?: string | null;
  readonly all_day?: boolean | null;
  readonly tags?: readonly string[];
  readonly reminder_offset?: string | null;
  readonly reminders?: readonly ReminderSpec[];
  readonly recurrence?: Recurrence | null;
}

export interface NewTask extends TaskFields {
  readonly title: string;
}

export interface TaskEdit extends TaskFields {
  readonly add_tags?: readonly string[];
  readonly remove_tags?: readonly string[];
  /** What another due date reaches: this occurrence (the default), or those that follow too. */
  readonly scope?: "this" | "following";
}

/** A function of the server and its inputs, as POST /api/commands takes them. */
export type Call =
  | { readonly function: "create-task"; readonly input: NewTask & { readonly id: string } }
  | {
      readonly function: "update-task";
      readonly input: TaskEdit & { readonly task_id: string; readonly base_version?: number };
    }
  | {
      readonly function: "complete-task";
      readonly input: {
        readonly task_id: string;
        readonly action: "complete" | "reopen" | "skip";
        readonly occurrence?: number;
      };
    }
  | {
      readonly function: "delete-task";
      readonly input: {
        readonly task_id: string;
        readonly scope: "this" | "following";
        readonly occurrence?: number;
      };
    }
  | { readonly function: "manage-tags"; readonly input: TagInput };

export type TagInput =
  | { readonly action: "create"; readonly name: string; readonly color?: string }
  | { readonly action: "update"; readonly tag_id: string; readonly name?: string; readonly color?: string }
  | { readonly action: "delete"; readonly tag_id: string };

/** A command of this device that the server's state, as we have it, does not show yet. */
export interface Command {
  /** Its place in the queue; grows. */
  readonly id: number;
  /** The idempotency key. */
  readonly key: string;
  readonly call: Call;
  /** When the user did it. */
  readonly made_at: string;
  /** The version of the task that the user saw, without what this device has queued; null where there is none. */
  readonly base: number | null;
  /** waiting: may still be changed. sent: may have arrived, so it is only repeated. done: carried out. */
  readonly stage: "waiting" | "sent" | "done";
  /** The task as the server answered it, once done; left out where it was deleted. */
  readonly answer?: Task;
  /** The id that the server gave a tag, once done. */
  readonly made?: string;
}

/** The body of an error, of a request and of a command in a batch. */
export interface ApiError {
  readonly code: number;
  readonly message: string;
  readonly details: readonly unknown[];
}

/** What became of one command of a batch. */
export interface CommandResult {
  readonly key: string;
  readonly status: number;
  readonly answer?: unknown;
  readonly error?: ApiError;
}

/** Something that the user should know. It stays until it is dismissed. */
export type Notice = ConflictNotice | RejectedNotice;

export interface ConflictNotice extends FieldConflict {
  readonly kind: "conflict";
  readonly id: string;
  readonly task_id: string;
  readonly title: string;
  /** true: found by an edit of this device, so that `yours` is ours; false: by one of another device. */
  readonly own: boolean;
  readonly at: string;
  readonly dismissed: boolean;
}

/** A command that the server refused. It has gone from the view. */
export interface RejectedNotice {
  readonly kind: "rejected";
  readonly id: string;
  readonly call: Call;
  readonly status: number;
  readonly error: ApiError;
  readonly at: string;
  readonly dismissed: boolean;
}

/** What the server is known to have, at one place of its log. */
export interface ServerState {
  readonly tasks: ReadonlyMap<string, Task>;
  readonly tags: ReadonlyMap<string, Tag>;
}

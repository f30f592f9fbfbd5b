/** What the user is told: fields that two devices changed at once, and commands that were refused. */

import type { Writes } from "./database";
import type { Change, Command, CommandResult, ConflictNotice, FieldConflict, Notice, RejectedNotice, Task } from "./types";

/** The conflicts that an event tells of: found by an edit of some device, this one perhaps. */
export function eventConflicts(change: Change): ConflictNotice[] {
  const { task, conflicts = [], occurred_at } = change;
  return task ? conflicts.map((one) => conflict(task, one, false, occurred_at)) : [];
}

/** The conflicts that the answer to one of our own edits tells of. */
export function answerConflicts(task: Task, conflicts: readonly FieldConflict[], at: string): ConflictNotice[] {
  return conflicts.map((one) => conflict(task, one, true, at));
}

/** A command that the server refused at `at`. */
export function rejection(command: Command, { status, error }: CommandResult, at: string): RejectedNotice {
  return {
    kind: "rejected",
    id: `rejected:${command.key}`,
    call: command.call,
    status,
    error: error ?? { code: 2, message: `refused with status ${status}`, details: [] },
    at,
    dismissed: false,
  };
}

/** Keeps notices. One that is there stays as it is, but an answer says better than an event whose edit it was. */
export async function keep(tx: Writes, notices: readonly Notice[]): Promise<void> {
  const store = tx.objectStore("notices");
  for (const notice of notices) {
    const known = await store.get(notice.id);
    if (!known) {
      await store.put(notice);
    } else if (notice.kind === "conflict" && notice.own) {
      await store.put({ ...notice, dismissed: known.dismissed });
    }
  }
}

/** The same conflict has the same id, whether an answer or an event tells of it. */
function conflict(task: Task, one: FieldConflict, own: boolean, at: string): ConflictNotice {
  return {
    kind: "conflict",
    id: `conflict:${task.id}:${task.version}:${one.field}`,
    task_id: task.id,
    title: task.title,
    own,
    at,
    dismissed: false,
    field: one.field,
    winner: one.winner,
    yours: one.yours,
    theirs: one.theirs,
  };
}

/** How something ended, in a word and with its reason; and the way to why. */

import { h, pill } from "./dom.js";

/** @type {Record<string, "good" | "busy" | "bad" | "still">} */
const MOODS = { confirmed: "good", skipped: "still", parked: "bad", dropped: "bad", "details-lost": "busy", "clock-set-back": "busy" };

/** @param {{ outcome: string, reason?: string | null, returned?: boolean | null }} row */
export function outcome(row) {
  const about = row.returned ? "reached nobody" : row.reason;
  return h("span", {}, pill(row.outcome, MOODS[row.outcome] ?? "still"), about ? h("small", {}, ` ${about}`) : null);
}

/**
 * A link to why something was sent, or was not, and to what came of it.
 *
 * @param {string} id of an event, a task or a trace; or `schedule@due`
 * @param {...import("./dom.js").Child} children
 */
export function whyLink(id, ...children) {
  return h("a", { href: `#/why/${encodeURIComponent(id)}`, title: "Why, and what came of it" }, ...children);
}

/**
 * By what a row of the record, or something that is parked, is asked for: its event's id; where none was sent, its schedule and due
 * time. None of what a command asked for and was not sent, for that has no due time of its own.
 *
 * @param {{ id?: unknown, schedule: string, kind: string, due_at: string }} row
 */
export function askedBy(row) {
  if (typeof row.id === "string") return row.id;
  return row.kind === "occurrence" ? `${row.schedule}@${row.due_at}` : null;
}

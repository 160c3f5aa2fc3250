/** How something ended, in a word and with its reason. */

import { h, pill } from "./dom.js";

/** @type {Record<string, "good" | "busy" | "bad" | "still">} */
const MOODS = { confirmed: "good", skipped: "still", parked: "bad", dropped: "bad", "details-lost": "busy", "clock-set-back": "busy" };

/** @param {{ outcome: string, reason?: string | null, returned?: boolean | null }} row */
export function outcome(row) {
  const about = row.returned ? "reached nobody" : row.reason;
  return h("span", {}, pill(row.outcome, MOODS[row.outcome] ?? "still"), about ? h("small", {}, ` ${about}`) : null);
}

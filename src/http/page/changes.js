/** Who changed what at run time: schedules, calendars and the clock; and delayed events, which have a log of their own. */

import { read } from "./api.js";
import { byId, h, panel, row, show, table } from "./dom.js";
import { moment, number } from "./time.js";

/** Entries of a page. */
const ROWS = 50;

export const HEADS = ["When", "Who", "What", "About"];

/** @param {import("./app.js").View} view */
export async function changes({ root, signal }) {
  const [schedules, events] = [h("div", { "aria-busy": "true" }), h("div", { "aria-busy": "true" })];
  show(root, h("h1", {}, "Changes"), panel("Schedules, calendars and the clock", schedules), panel("Delayed events", events));
  await Promise.all([
    pages("v1/changes", schedules, changeRows, signal),
    pages("v1/events:changes", events, eventRows, signal),
  ]);
}

/**
 * Shows a log, and more of it when that is asked for.
 *
 * @param {string} path
 * @param {HTMLElement} where
 * @param {(changes: any[]) => HTMLTableRowElement[]} view
 * @param {AbortSignal} signal
 */
async function pages(path, where, view, signal) {
  /** @type {HTMLTableRowElement[]} */
  let rows = [];
  const look = async (/** @type {string | null} */ before) => {
    const page = await read(path, { query: { limit: ROWS, before }, signal });
    rows = [...rows, ...view(page.changes)];
    const more = earlier(() => look(page.next));
    const rest = page.next && page.changes.length ? h("nav", { class: "pages", "aria-label": "Earlier" }, more) : null;
    show(where, table("Changes", HEADS, rows, "Nothing was changed at run time."), rest);
    where.setAttribute("aria-busy", "false");
  };
  await look(null);
}

/**
 * A button that reads on, and can be pressed again where that failed.
 *
 * @param {() => Promise<void>} reads
 */
export function earlier(reads) {
  const button = h("button", { type: "button" }, "Earlier →");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await reads();
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) byId("main").focus({ preventScroll: true });
    }
  });
  return button;
}

/** @param {any[]} changes */
export function changeRows(changes) {
  return changes.map((one) => row([moment(one.at), [one.by, h("small", {}, ` ${one.door}`)], one.what, about(one)]));
}

/** @param {any} change */
function about(change) {
  const isCalendar = change.what.startsWith("calendar-");
  const name = !change.schedule
    ? "the clock"
    : isCalendar
      ? `calendar ${change.schedule}`
      : h("a", { href: `#/schedules/${encodeURIComponent(change.schedule)}` }, change.schedule);
  const others = change.others?.length ? ` and ${number(change.others.length)} more` : null;
  const note = change.note ? h("small", {}, ` ${change.note}`) : null;
  const both = change.before && change.after;
  const versions = both || change.after ? h("details", {}, h("summary", {}, both ? "before and after" : "definition"), both ? code(change.before) : null, code(change.after)) : null;
  return [name, others, note, versions];
}

/** @param {{ revision: number, definition: unknown }} version */
function code(version) {
  return h("pre", { tabindex: "0" }, `revision ${version.revision}\n${JSON.stringify(version.definition, null, 2)}`);
}

/** @param {any[]} changes */
function eventRows(changes) {
  return changes.map((one) => {
    const more = one.count > one.names.length ? ` and ${number(one.count - one.names.length)} more` : "";
    return row([moment(one.at), [one.by, h("small", {}, ` ${one.door}`)], one.what, [one.names.join(", "), more]]);
  });
}

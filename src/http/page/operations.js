/** Backfills: those that run, and those that ended within a day. */

import { cancelOperation } from "./actions.js";
import { read } from "./api.js";
import { h, panel, pill, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { renew } from "./renew.js";
import { may } from "./session.js";
import { moment, number, regularly, several } from "./time.js";

/** How often the clock is asked while one runs, in ms. */
const EVERY = 2_000;
/** And while none does: somebody may begin one elsewhere. */
const SELDOM = 10_000;
/** Of the clock's pages, so many at most; they are by id, and those that run are wanted first. */
const [PAGE, PAGES] = [1_000, 5];
/** Rows that are shown. */
const SHOWN = 100;

/** @param {import("./app.js").View} view */
export async function operations({ root, signal, again }) {
  const list = h("div", { "aria-busy": "true" });
  // For readers of screens: the table itself changes all the time.
  const said = h("p", { class: "unseen", role: "status" });
  show(root, h("h1", {}, "Backfills"), said, panel("Events of the past that are sent again", list));
  let [runs, looked] = [false, 0];
  const look = async () => {
    try {
      const { all, isWhole } = await known(signal);
      const running = all.filter((one) => one.state === "running").length;
      runs = running > 0;
      const rows = all.slice(0, SHOWN).map((one) => operationRow(one, again));
      const more = all.length > SHOWN || !isWhole ? h("p", { class: "quiet" }, `${number(all.length - rows.length)}${isWhole ? "" : " or"} more ended within a day: GET /v1/operations has them.`) : null;
      renew(list, table("Backfills", ["Schedule", "Begun", "By", "Progress", "State", "To do"], rows, "None runs, and none ended within a day. A schedule's own page begins one."), more);
      const words = running ? `${several(running, "backfill runs", "backfills run")}` : "no backfill runs";
      if (said.textContent !== words) said.textContent = words;
    } catch (error) {
      if (signal.aborted) return;
      renew(list, h("p", { class: "wrong" }, words(error)));
    }
    list.setAttribute("aria-busy", "false");
    looked = Date.now();
  };
  await look();
  regularly(async () => (runs || Date.now() - looked >= SELDOM) && look(), EVERY, signal);
}

/**
 * Those that run first, then the newest.
 *
 * @param {AbortSignal} signal
 */
async function known(signal) {
  /** @type {any[]} */
  const all = [];
  let page = null;
  for (let pages = 0; pages < PAGES; pages += 1) {
    const found = await read("v1/operations", { query: { limit: PAGE, page }, signal });
    all.push(...found.operations);
    page = found.next;
    if (page === null) break;
  }
  const order = (/** @type {any} */ one) => (one.state === "running" ? "1" : "0") + one.begun_at;
  return { all: all.sort((one, other) => (order(one) < order(other) ? 1 : -1)), isWhole: page === null };
}

/**
 * @param {any} one
 * @param {() => void} again
 */
function operationRow(one, again) {
  const cancel = one.state === "running" && may("operate") ? h("button", { type: "button", onclick: async () => (await cancelOperation(one)) && again() }, "Cancel …") : "";
  const bar = h("progress", { max: one.count, value: one.sent, "aria-label": `${one.sent} of ${one.count} are sent` });
  const cells = [
    h("a", { href: `#/schedules/${encodeURIComponent(one.schedule)}` }, one.schedule),
    moment(one.begun_at),
    one.by,
    [bar, ` ${number(one.sent)} of ${number(one.count)}`],
    pill(one.state, one.state === "running" ? "busy" : one.state === "done" ? "good" : "still"),
    cancel,
  ];
  return row(cells, { "data-key": one.id });
}

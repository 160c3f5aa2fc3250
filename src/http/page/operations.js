/** Backfills: those that run, and those that ended within a day. */

import { cancelOperation } from "./actions.js";
import { read } from "./api.js";
import { h, panel, pill, row, show, table } from "./dom.js";
import { may } from "./session.js";
import { moment, number, regularly } from "./time.js";

/** How often the clock is asked while one runs, in ms. */
const EVERY = 2_000;

/** @param {import("./app.js").View} view */
export async function operations({ root, signal, again }) {
  const list = h("div", { "aria-live": "polite" });
  show(root, h("h1", {}, "Backfills"), panel("Events of the past that are sent again", list));
  const look = async () => {
    const { operations: all } = await read("v1/operations", { query: { limit: 100 }, signal });
    const rows = all.map((/** @type {any} */ one) => operationRow(one, again));
    show(list, table("Backfills", ["Schedule", "Begun", "By", "Progress", "State", "To do"], rows, "None runs, and none ended within a day. A schedule's own page begins one."));
    return all.some((/** @type {any} */ one) => one.state === "running");
  };
  let runs = await look();
  regularly(async () => runs && (runs = await look()), EVERY, signal);
}

/**
 * @param {any} one
 * @param {() => void} again
 */
function operationRow(one, again) {
  const cancel = one.state === "running" && may("operate") ? h("button", { type: "button", onclick: async () => (await cancelOperation(one)) && again() }, "Cancel …") : "";
  const bar = h("progress", { max: one.count, value: one.sent, "aria-label": `${one.sent} of ${one.count} are sent` });
  return row([
    h("a", { href: `#/schedules/${encodeURIComponent(one.schedule)}` }, one.schedule),
    moment(one.begun_at),
    one.by,
    [bar, ` ${number(one.sent)} of ${number(one.count)}`],
    pill(one.state, one.state === "running" ? "busy" : one.state === "done" ? "good" : "still"),
    cancel,
  ]);
}

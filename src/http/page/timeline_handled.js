/** Who handled what a schedule sent within a column of the timeline: event by event, asked when somebody wants it. */

import { part, read } from "./api.js";
import { readCoverage } from "./coverage.js";
import { h, panel, pill, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { askedBy, outcome, whyLink } from "./outcome.js";
import { moment, number } from "./time.js";
import { handlers } from "./tree.js";

/** Events that are asked for, one after the other. */
const MOST = 10;

/**
 * Shows what the record has of a schedule from one instant to another, and who handled it.
 *
 * @param {HTMLElement} where
 * @param {string} schedule
 * @param {[number, number]} within the second one is not within
 * @param {AbortSignal} signal
 */
export async function handled(where, schedule, [from, to], signal) {
  const body = h("div", { "aria-busy": "true" });
  const close = h("button", { type: "button", onclick: () => show(where) }, "Close");
  show(where, panel(`Who handled it: ${schedule}`, body, close));
  try {
    // What is due at the first instant is within.
    const query = { schedule, from: new Date(from - 1).toISOString(), to: new Date(to - 1).toISOString(), limit: MOST + 1 };
    const [{ rows }, { off }] = await Promise.all([read("v1/history", { query, signal }), readCoverage(signal)]);
    const listed = rows.slice(0, MOST).map((/** @type {any} */ one) => ({ one, by: h("span", { class: "pills" }) }));
    const note = h("p", { class: "quiet" }, off ?? (rows.length > MOST ? `The latest ${MOST}; there are more.` : null));
    const cells = listed.map((/** @type {{ one: any, by: HTMLElement }} */ { one, by }) => row([dueOf(one), outcome(one), by]));
    show(body, table("Who handled what was due then", ["Due", "Outcome", "Handled by"], cells, "The record has nothing of it."), note);
    body.scrollIntoView({ block: "nearest" });
    for (const { one, by } of listed) {
      if (off !== null || typeof one.id !== "string") continue;
      const { observed } = await read(`v1/why/${part(one.id)}`, { signal });
      show(by, byWhom(observed));
    }
  } catch (error) {
    if (!signal.aborted) show(body, h("p", { class: "wrong" }, words(error)));
  } finally {
    body.setAttribute("aria-busy", "false");
  }
}

/** @param {any} one */
function dueOf(one) {
  const asked = askedBy(one);
  const at = asked ? whyLink(asked, moment(one.due_at, true)) : moment(one.due_at, true);
  return one.count > 1 ? [at, h("small", {}, ` ${number(one.count)} due times`)] : at;
}

/** @param {{ roots: import("./tree.js").TreeNode[] } | null} observed */
function byWhom(observed) {
  const [root] = observed?.roots ?? [];
  if (!root) return h("span", { class: "quiet" }, "not known");
  const by = handlers(root);
  return by.length ? by.map(({ service, word, mood }) => h("span", {}, `${service} `, pill(word, mood))) : [h("span", { class: "quiet" }, "nobody who reports")];
}

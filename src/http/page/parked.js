/** What was given up on and waits for a person: of schedules, and delayed events. */

import { change, read } from "./api.js";
import { byId, h, panel, pill, row, show, table } from "./dom.js";
import { ask, words } from "./dialog.js";
import { askedBy, whyLink } from "./outcome.js";
import { may } from "./session.js";
import { moment, number, several, written } from "./time.js";

/** Rows of a page. */
const ROWS = 100;

/**
 * @typedef {object} Kind
 * @property {string} key how its numbers are called
 * @property {string} path
 * @property {(one: any) => number} number
 * @property {(one: any) => number} events
 * @property {string} title
 * @property {string[]} heads
 * @property {(one: any) => (import("./dom.js").Child | import("./dom.js").Child[])[]} cells
 */

/** @type {Kind} */
const SCHEDULES = {
  key: "ids",
  path: "v1/parked",
  number: (one) => one.id,
  events: (one) => one.events,
  title: "Of schedules",
  heads: ["Choose", "Schedule", "Due", "Events", "Why", "Since", "State"],
  cells: ofSchedule,
};
/** @type {Kind} */
const DELAYED = {
  key: "creations",
  path: "v1/parked-events",
  number: (one) => one.creation,
  events: () => 1,
  title: "Delayed events",
  heads: ["Choose", "Name", "Due", "Event", "Why", "Since", "State"],
  cells: ofEvent,
};

/** @param {import("./app.js").View} view */
export async function parked({ root, signal, again }) {
  const [ofSchedules, delayed] = [h("div", { "aria-busy": "true" }), h("div", { "aria-busy": "true" })];
  show(
    root,
    h("h1", {}, "Parked"),
    h("p", { class: "quiet" }, "What the broker refused too often, or what reached nobody where that is not to be. Once the cause is mended, release it: it is sent under the id that it had."),
    ofSchedules,
    delayed,
  );
  await Promise.all([pages(ofSchedules, SCHEDULES, signal, again), pages(delayed, DELAYED, signal, again)]);
}

/**
 * A list, a page of it at a time: what is chosen is of the page that is shown.
 *
 * @param {HTMLElement} where
 * @param {Kind} kind
 * @param {AbortSignal} signal
 * @param {() => void} again
 */
async function pages(where, kind, signal, again) {
  const look = async (/** @type {string} */ page) => {
    where.setAttribute("aria-busy", "true");
    try {
      const found = await read(kind.path, { query: { limit: ROWS, page }, signal });
      const first = h("button", { type: "button", disabled: page === "", onclick: () => void look("") }, "← From the beginning");
      const on = h("button", { type: "button", disabled: found.next === null, onclick: () => void look(found.next) }, "On →");
      const both = page || found.next ? h("nav", { class: "pages", "aria-label": `Pages: ${kind.title}` }, first, on) : null;
      show(where, list(found.parked, kind, both, again));
      if (document.activeElement === document.body) byId("main").focus({ preventScroll: true });
    } catch (error) {
      if (signal.aborted) return;
      show(where, panel(kind.title, h("p", { class: "wrong" }, words(error))));
    }
    where.setAttribute("aria-busy", "false");
  };
  await look("");
}

/**
 * @param {any[]} entries
 * @param {Kind} kind
 * @param {import("./dom.js").Child} pages
 * @param {() => void} again
 */
function list(entries, kind, pages, again) {
  const name = (/** @type {any} */ one) => `Choose ${one.schedule ?? one.name}, due ${written(one.due_at)}`;
  /** @type {Map<any, HTMLInputElement>} */
  const boxes = new Map(entries.map((one) => [one, h("input", { type: "checkbox", "aria-label": name(one) })]));
  const chosen = () => entries.filter((one) => boxes.get(one)?.checked);
  const act = async (/** @type {"release" | "drop"} */ verb) => (await decide(verb, chosen(), kind)) && again();
  const buttons = may("operate") && entries.length
    ? [
        h("button", { type: "button", onclick: () => boxes.forEach((box) => (box.checked = true)) }, pages ? "Choose this page" : "Choose all"),
        h("button", { type: "button", onclick: () => void act("release") }, "Release …"),
        h("button", { type: "button", onclick: () => void act("drop") }, "Drop …"),
      ]
    : null;
  const rows = entries.map((one) => row([may("operate") ? boxes.get(one) : "", ...kind.cells(one), one.released || one.being_sent ? pill("being sent", "busy") : pill("waits", "bad")]));
  return panel(kind.title, [table(kind.title, kind.heads, rows, "Nothing is parked."), pages], buttons);
}

/** @param {any} one */
function ofSchedule(one) {
  const asked = askedBy(one);
  const at = asked ? whyLink(asked, moment(one.due_at)) : moment(one.due_at);
  const due = one.count > 1 ? [moment(one.first_due_at), " – ", at] : at;
  return [h("a", { href: `#/schedules/${encodeURIComponent(one.schedule)}` }, one.schedule), due, number(one.events), one.reason, moment(one.parked_at)];
}

/** @param {any} one */
function ofEvent(one) {
  return [one.name, moment(one.due_at), [h("code", {}, one.event), one.to ? h("small", {}, ` task for ${one.to.task}`) : null], one.reason, moment(one.parked_at)];
}

/**
 * @param {"release" | "drop"} verb
 * @param {any[]} entries
 * @param {Kind} kind
 */
function decide(verb, entries, kind) {
  const events = entries.reduce((sum, one) => sum + kind.events(one), 0);
  const says = entries.length === 0
    ? "Choose some first."
    : verb === "release"
      ? `${several(events, "event is", "events are")} sent again, each under the id that it had.`
      : `${several(events, "event is", "events are")} dropped for good, and never sent.`;
  return ask({
    title: verb === "release" ? "Release parked events" : "Drop parked events",
    verb: verb === "release" ? "Release" : "Drop for good",
    danger: verb === "drop",
    preview: async () => ({ says: h("p", {}, says), possible: entries.length > 0 }),
    run: async () => {
      const done = await change("POST", `${kind.path}/${verb}`, { body: { [kind.key]: entries.map(kind.number) } });
      const left = done.being_sent.length + done.unknown.length;
      return `${several(done.done?.length ?? entries.length - left, "entry", "entries")} ${verb === "release" ? "released" : "dropped"}${left ? `; ${number(left)} were on their way, or gone` : ""}.`;
    },
  });
}

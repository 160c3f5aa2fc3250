/** What was given up on and waits for a person: of schedules, and delayed events. */

import { change, read } from "./api.js";
import { h, panel, pill, row, show, table } from "./dom.js";
import { ask } from "./dialog.js";
import { may } from "./session.js";
import { moment, number, several } from "./time.js";

/** Rows that are shown of each list. */
const SHOWN = 500;

/**
 * @typedef {object} Kind
 * @property {string} key how its numbers are called
 * @property {string} path
 * @property {(one: any) => number} number
 * @property {(one: any) => number} events
 */

/** @type {Kind} */
const SCHEDULES = { key: "ids", path: "v1/parked", number: (one) => one.id, events: (one) => one.events };
/** @type {Kind} */
const DELAYED = { key: "creations", path: "v1/parked-events", number: (one) => one.creation, events: () => 1 };

/** @param {import("./app.js").View} view */
export async function parked({ root, signal, again }) {
  const [ofSchedules, delayed] = await Promise.all([
    read("v1/parked", { signal }),
    read("v1/parked-events", { query: { limit: SHOWN }, signal }),
  ]);
  show(
    root,
    h("h1", {}, "Parked"),
    h("p", { class: "quiet" }, "What the broker refused too often, or what reached nobody where that is not to be. Once the cause is mended, release it: it is sent under the id that it had."),
    list("Of schedules", ofSchedules.parked, SCHEDULES, ["Choose", "Schedule", "Due", "Events", "Why", "Since", "State"], ofSchedule, again),
    list("Delayed events", delayed.parked, DELAYED, ["Choose", "Name", "Due", "Event", "Why", "Since", "State"], ofEvent, again),
  );
}

/**
 * @param {string} title
 * @param {any[]} entries
 * @param {Kind} kind
 * @param {string[]} heads
 * @param {(one: any) => (import("./dom.js").Child | import("./dom.js").Child[])[]} cells
 * @param {() => void} again
 */
function list(title, entries, kind, heads, cells, again) {
  const shown = entries.slice(0, SHOWN);
  /** @type {Map<any, HTMLInputElement>} */
  const boxes = new Map(shown.map((one) => [one, h("input", { type: "checkbox", "aria-label": `Choose ${one.schedule ?? one.name}` })]));
  const chosen = () => shown.filter((one) => boxes.get(one)?.checked);
  const act = async (/** @type {"release" | "drop"} */ verb) => (await decide(verb, chosen(), kind)) && again();
  const buttons = may("operate") && shown.length
    ? [
        h("button", { type: "button", onclick: () => boxes.forEach((box) => (box.checked = true)) }, "Choose all"),
        h("button", { type: "button", onclick: () => void act("release") }, "Release …"),
        h("button", { type: "button", onclick: () => void act("drop") }, "Drop …"),
      ]
    : null;
  const rows = shown.map((one) => row([may("operate") ? boxes.get(one) : "", ...cells(one), one.released || one.being_sent ? pill("being sent", "busy") : pill("waits", "bad")]));
  const more = entries.length > SHOWN ? h("p", { class: "quiet" }, `and ${number(entries.length - SHOWN)} more: khronos parked lists them`) : null;
  return panel(title, [table(title, heads, rows, "Nothing is parked."), more], buttons);
}

/** @param {any} one */
function ofSchedule(one) {
  const due = one.count > 1 ? [moment(one.first_due_at), " – ", moment(one.due_at)] : moment(one.due_at);
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

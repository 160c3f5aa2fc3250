/**
 * What may be done to schedules and to the clock, each with what it would do, in occurrences.
 */

import { change, part, read } from "./api.js";
import { h } from "./dom.js";
import { ask } from "./dialog.js";
import { caller } from "./session.js";
import { clockTime, lasting, moment, number, several } from "./time.js";

/** Occurrences that are looked at to count them. */
const LOOKED_AT = 1_000;
/** Occurrences that a preview lists. */
const LISTED = 5;

/** @type {import("./dialog.js").Field} */
const NOTE = { name: "note", label: "Why", hint: "Stands in the log of changes and in /readyz.", required: true };
/** @type {import("./dialog.js").Field} */
const LENGTH = { name: "for", label: "For how long", hint: "2h, 45 minutes, 1 day; left empty: until somebody resumes." };
/** @type {import("./dialog.js").Field} */
const ON_RESUME = {
  name: "on_resume",
  label: "What fell due meanwhile",
  value: "catch-up",
  choices: [["catch-up", "is caught up, as each schedule's catch_up says"], ["skip", "is skipped, and recorded so"]],
};

/** @typedef {{ name: string, event: string | null, next_due_at: string | null, pause?: { since: string } | null, outstanding: { after: string, through: string } | null, catch_up?: string, definition: Record<string, any> }} Schedule */

/** @param {Schedule} schedule */
export function pause(schedule) {
  return ask({
    title: `Pause ${schedule.name}`,
    verb: "Pause",
    fields: [NOTE, LENGTH, ON_RESUME],
    preview: async (values, signal) => {
      const length = span(values.for ?? "");
      const { from, coming } = await next(schedule.name, signal);
      const through = length === null ? null : Date.parse(from) + length;
      const held = through === null ? coming : coming.filter((one) => Date.parse(one.due_at) <= through);
      const more = held.length >= LOOKED_AT ? "or more " : "";
      const says = through === null
        ? "Nothing of it is sent until somebody resumes it. These are the next that it would hold back:"
        : `${several(held.length, "occurrence")} ${more}would be held back in ${lasting(length ?? 0)}:`;
      return { says: [h("p", {}, says), list(held.map((one) => one.due_at))], possible: values.note !== "" };
    },
    run: async (values) => {
      await change("POST", `v1/schedules/${part(schedule.name)}/pause`, { body: paused(values) });
      return `${schedule.name} is paused.`;
    },
  });
}

/** @param {Schedule} schedule */
export function resume(schedule) {
  return ask({
    title: `Resume ${schedule.name}`,
    verb: "Resume",
    fields: [ON_RESUME],
    preview: async (values, signal) => {
      const [held, { coming }] = await Promise.all([heldBack(schedule, signal), next(schedule.name, signal)]);
      const fate = values.on_resume === "skip" ? "recorded as skipped" : `treated as its catch_up says (${schedule.definition.catch_up ? JSON.stringify(schedule.definition.catch_up) : "the default"})`;
      const says = held.length === 0 ? "Nothing fell due since the pause began." : `${several(held.length, "occurrence")} fell due since the pause began, and would be ${fate}:`;
      return { says: [h("p", {}, says), list(held), h("p", {}, "Next after that: ", moment(coming[0]?.due_at), ".")] };
    },
    run: async (values) => {
      await change("POST", `v1/schedules/${part(schedule.name)}/resume`, { body: { on_resume: values.on_resume } });
      return `${schedule.name} goes on.`;
    },
  });
}

/** A key that no other request has. `crypto.randomUUID` is missing where the page did not come by TLS or from this machine. */
function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {Schedule} schedule */
export function trigger(schedule) {
  // One key for one question: a second press of the button sends no second event.
  const key = freshKey();
  return ask({
    title: `Send an event of ${schedule.name} now`,
    verb: "Send it now",
    preview: async () => ({
      says: [
        h("p", {}, "1 event ", h("code", {}, schedule.event ?? ""), " is sent now, beside its occurrences, from its present definition."),
        h("p", {}, "Its occurrences stay as they are: the next one is due ", moment(schedule.next_due_at), "."),
      ],
    }),
    run: async () => {
      await change("POST", `v1/schedules/${part(schedule.name)}/trigger`, { body: {}, key });
      return `An event of ${schedule.name} is on its way.`;
    },
  });
}

/** @param {Schedule} schedule */
export function backfill(schedule) {
  const key = freshKey();
  const path = `v1/schedules/${part(schedule.name)}/backfill`;
  const day = 86_400_000;
  /** @param {Record<string, string>} values */
  const asked = (values) => ({
    from: values.from,
    to: values.to,
    only_missing: values.which === "missing",
    ...(values.rate ? { rate: Number(values.rate) } : {}),
  });
  return ask({
    title: `Send occurrences of ${schedule.name} of the past`,
    verb: "Begin",
    fields: [
      { name: "from", label: "From", value: new Date(clockTime() - day).toISOString(), required: true },
      { name: "to", label: "Through", value: new Date(clockTime()).toISOString(), required: true },
      { name: "which", label: "Which", value: "missing", choices: [["missing", "those that the record does not have as sent"], ["all", "all of them, also what was sent"]] },
      { name: "rate", label: "Events a second", value: "10", hint: "1 to 1000" },
    ],
    preview: async (values, signal) => {
      const found = await change("POST", path, { body: { ...asked(values), dry_run: true }, key: `${key}-dry`, signal });
      const span = found.count ? [" due from ", moment(found.first_due_at), " through ", moment(found.last_due_at)] : [];
      const there = found.there ? h("p", {}, `${several(found.there, "more is", "more are")} left out: sent, or still to be sent.`) : null;
      const says = h("p", {}, `${several(found.count, "event")} would be sent`, ...span, ".");
      const recorded = found.recorded_since ? h("p", { class: "wrong" }, "The record begins at ", moment(found.recorded_since), ": begin there.") : null;
      return { says: [says, there, recorded], possible: found.count > 0 && !found.recorded_since };
    },
    run: async (values) => {
      const begun = await change("POST", path, { body: asked(values), key });
      return `A backfill of ${several(begun.count, "event")} has begun.`;
    },
  });
}

/** @param {{ id: string, schedule: string, left: number, sent: number }} operation */
export function cancelOperation(operation) {
  return ask({
    title: `Cancel the backfill of ${operation.schedule}`,
    verb: "Cancel the backfill",
    danger: true,
    preview: async (_, signal) => {
      const now = await read(`v1/operations/${part(operation.id)}`, { signal });
      return { says: h("p", {}, `${several(now.left, "event")} would not be sent. ${several(now.sent, "was", "were")} sent, and ${several(now.outstanding, "is", "are")} on the way.`) };
    },
    run: async () => {
      await change("DELETE", `v1/operations/${part(operation.id)}`);
      return "The backfill is cancelled.";
    },
  });
}

export function pauseEverything() {
  return ask({
    title: "Pause everything",
    verb: "Pause everything",
    danger: true,
    fields: [NOTE, LENGTH, ON_RESUME],
    preview: async (values, signal) => {
      const { schedules } = await read("v1/schedules:due", { query: { limit: LISTED }, signal });
      const length = span(values.for ?? "");
      const until = length === null ? "until somebody resumes" : `for ${lasting(length)}`;
      const first = schedules.map((/** @type {Schedule} */ one) => h("li", {}, moment(one.next_due_at), " ", one.name));
      return { says: [h("p", {}, `Nothing at all is sent ${until}. The first that it would hold back:`), h("ul", {}, first)], possible: values.note !== "" };
    },
    run: async (values) => {
      await change("POST", "v1/pause", { body: { ...paused(values), all: true, by: caller()?.owner ?? "page" } });
      return "Everything is paused.";
    },
  });
}

/** @param {{ since: string }} pause */
export function resumeEverything(pause) {
  return ask({
    title: "Resume everything",
    verb: "Resume",
    fields: [ON_RESUME],
    preview: async (values, signal) => {
      const ready = await read("readyz", { signal, also: 503 });
      const fate = values.on_resume === "skip" ? "is recorded as skipped" : "is treated as each schedule's catch_up says";
      return { says: h("p", {}, `${several(ready.outstanding, "schedule")} had something due since `, moment(pause.since), `: it ${fate}.`) };
    },
    run: async (values) => {
      await change("POST", "v1/resume", { body: { all: true, on_resume: values.on_resume } });
      return "The clock goes on.";
    },
  });
}

/**
 * Pauses or resumes all schedules that pass a filter.
 *
 * @param {"pause" | "resume"} verb
 * @param {Record<string, string>} filter
 */
export function chosen(verb, filter) {
  const path = `v1/schedules:${verb}`;
  /** @param {Record<string, string>} values */
  const asked = (values) => ({ filter, ...(verb === "pause" ? paused(values) : { on_resume: values.on_resume }) });
  const word = verb === "pause" ? "Pause" : "Resume";
  return ask({
    title: `${word} all that pass the filter`,
    verb: word,
    danger: verb === "pause",
    fields: verb === "pause" ? [NOTE, LENGTH, ON_RESUME] : [ON_RESUME],
    preview: async (values, signal) => {
      // A note is wanted also where nothing is done.
      const body = { ...asked({ ...values, note: values.note || "a look" }), dry_run: true };
      const found = await change("POST", path, { body, signal });
      const more = found.count > LISTED ? ` and ${number(found.count - LISTED)} more` : "";
      const names = found.names.slice(0, LISTED).map((/** @type {string} */ name) => h("li", {}, name));
      const were = found.were_paused && verb === "pause" ? ` ${number(found.were_paused)} of them are paused by name already.` : "";
      const says = [h("p", {}, `${several(found.count, "schedule")} would be ${verb}d.${were}`), h("ul", {}, names), more ? h("p", {}, more) : null];
      return { says, possible: found.count > 0 && (verb === "resume" || values.note !== ""), kept: found.count };
    },
    run: async (values, count) => {
      const done = await change("POST", path, { body: { ...asked(values), expect_count: count } });
      return `${several(done.count, "schedule")}: ${verb}d.`;
    },
  });
}

/** @param {Record<string, string>} values */
function paused(values) {
  return { note: values.note, ...(values.for ? { for: values.for, on_resume: values.on_resume } : {}) };
}

/**
 * What is due next of a schedule.
 *
 * @param {string} name
 * @param {AbortSignal} signal
 * @param {string} [from]
 * @returns {Promise<{ from: string, coming: { due_at: string }[] }>}
 */
async function next(name, signal, from) {
  const found = await read(`v1/schedules/${part(name)}/next`, { query: { count: LOOKED_AT, from }, signal });
  const coming = found.occurrences.filter((/** @type {{ due_at: string | null }} */ one) => one.due_at !== null);
  return { from: found.from, coming };
}

/**
 * What fell due since the present pause began, up to a thousand.
 *
 * @param {Schedule} schedule
 * @param {AbortSignal} signal
 */
async function heldBack(schedule, signal) {
  if (!schedule.pause) return [];
  const now = clockTime();
  const { coming } = await next(schedule.name, signal, schedule.pause.since);
  return coming.map((one) => one.due_at).filter((due) => Date.parse(due) <= now);
}

/** @param {string[]} instants */
function list(instants) {
  const more = instants.length > LISTED ? h("li", { class: "quiet" }, `and ${number(instants.length - LISTED)} more`) : null;
  return h("ul", {}, instants.slice(0, LISTED).map((due) => h("li", {}, moment(due))), more);
}

/**
 * A length of time that is written as the clock takes it, in ms; null where none is written.
 *
 * @param {string} text
 */
function span(text) {
  if (text === "") return null;
  /** @type {Record<string, number>} */
  const units = { ms: 1, s: 1_000, sec: 1_000, second: 1_000, m: 60_000, min: 60_000, minute: 60_000, h: 3_600_000, hour: 3_600_000, d: 86_400_000, day: 86_400_000, w: 604_800_000, week: 604_800_000 };
  const pieces = [...text.matchAll(/(\d+)\s*([a-z]+)/g)];
  const total = pieces.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ""] ?? units[(unit ?? "").replace(/s$/, "")] ?? NaN), 0);
  if (!pieces.length || Number.isNaN(total)) throw new Error(`'${text}' is not a length of time; write it as 2h or 45 minutes`);
  return total;
}

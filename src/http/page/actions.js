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
const NOTE = { name: "note", label: "Why", hint: "Stands in the log of changes and in /readyz.", required: true, isAside: true };
/** @type {import("./dialog.js").Field} */
const LENGTH = { name: "for", label: "For how long", hint: "2h, 45 minutes, 1 day; left empty: until somebody resumes." };
/** @type {import("./dialog.js").Field} */
const ON_RESUME = {
  name: "on_resume",
  label: "What fell due meanwhile",
  value: "catch-up",
  choices: [["catch-up", "is caught up, as each schedule's catch_up says"], ["skip", "is skipped, and recorded so"]],
};

/** @typedef {{ since: string, by: string, note: string, until: string | null }} Pause */
/** @typedef {{ name: string, event: string | null, next_due_at: string | null, pause?: Pause | null, definition: Record<string, any> }} Schedule */

/** @param {{ name: string }} schedule */
export function pause({ name }) {
  return ask({
    title: `Pause ${name}`,
    verb: "Pause",
    fields: [NOTE, LENGTH, ON_RESUME],
    preview: async (values, signal) => {
      const length = span(values.for ?? "");
      const [now, { from, coming }] = await Promise.all([scheduleOf(name, signal), next(name, signal)]);
      const through = length === null || Number.isNaN(length) ? null : Date.parse(from) + length;
      const held = through === null ? coming : coming.filter((one) => Date.parse(one.due_at) <= through);
      const more = held.length >= LOOKED_AT ? "or more " : "";
      const says = through === null
        ? `Nothing of it is sent ${until(values.for, length)}. These are the next that it would hold back:`
        : `${several(held.length, "occurrence")} ${more}would be held back in ${lasting(length ?? 0)}:`;
      return { says: [already(now.pause), h("p", {}, says), list(held.map((one) => one.due_at))], kept: now.pause };
    },
    run: async (values, before) => {
      same(before, (await scheduleOf(name)).pause);
      await change("POST", `v1/schedules/${part(name)}/pause`, { body: paused(values) });
      return `${name} is paused.`;
    },
  });
}

/** @param {{ name: string }} schedule */
export function resume({ name }) {
  return ask({
    title: `Resume ${name}`,
    verb: "Resume",
    fields: [ON_RESUME],
    preview: async (values, signal) => {
      const now = await scheduleOf(name, signal);
      if (!now.pause) return { says: h("p", {}, "It is not paused any more."), possible: false };
      const [{ coming: held }, { coming }] = await Promise.all([next(name, signal, now.pause.since), next(name, signal)]);
      const due = held.map((one) => one.due_at).filter((instant) => Date.parse(instant) <= clockTime());
      const more = due.length >= LOOKED_AT ? "or more " : "";
      const rule = now.definition.catch_up ? JSON.stringify(now.definition.catch_up) : "the default";
      const fate = values.on_resume === "skip" ? "recorded as skipped" : `treated as its catch_up says (${rule}), which may be fewer`;
      const says = due.length === 0 ? "Nothing fell due since the pause began." : `${several(due.length, "occurrence")} ${more}fell due since the pause began, and would be ${fate}:`;
      return { says: [h("p", {}, says), list(due), h("p", {}, "Next after that: ", moment(coming[0]?.due_at), ".")], kept: now.pause };
    },
    run: async (values, before) => {
      same(before, (await scheduleOf(name)).pause);
      await change("POST", `v1/schedules/${part(name)}/resume`, { body: { on_resume: values.on_resume } });
      return `${name} goes on.`;
    },
  });
}

/** A key that no other request has. `crypto.randomUUID` is missing where the page did not come by TLS or from this machine. */
function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {{ name: string }} schedule */
export function trigger({ name }) {
  // One key for one question: a second press of the button sends no second event.
  const key = freshKey();
  return ask({
    title: `Send an event of ${name} now`,
    verb: "Send it now",
    preview: async (_, signal) => {
      const now = await scheduleOf(name, signal);
      return {
        says: [
          h("p", {}, "1 event ", h("code", {}, now.event ?? ""), " is sent now, beside its occurrences, from its present definition."),
          h("p", {}, now.next_due_at ? "Its occurrences stay as they are." : "It has no occurrences any more."),
        ],
      };
    },
    run: async () => {
      await change("POST", `v1/schedules/${part(name)}/trigger`, { body: {}, key });
      return `An event of ${name} is on its way.`;
    },
  });
}

/** @param {{ name: string }} schedule */
export function backfill({ name }) {
  const key = freshKey();
  const path = `v1/schedules/${part(name)}/backfill`;
  const day = 86_400_000;
  /** @param {Record<string, string>} values */
  const asked = (values) => ({
    from: values.from,
    to: values.to,
    only_missing: values.which === "missing",
    rate: Number(values.rate),
  });
  return ask({
    title: `Send occurrences of ${name} of the past`,
    verb: "Begin",
    fields: [
      { name: "from", label: "From", value: new Date(clockTime() - day).toISOString(), required: true },
      { name: "to", label: "Through", value: new Date(clockTime()).toISOString(), required: true },
      { name: "which", label: "Which", value: "missing", choices: [["missing", "those that the record does not have as sent"], ["all", "all of them, also what was sent"]] },
      { name: "rate", label: "Events a second", value: "10", hint: "1 to 1000", range: [1, 1_000], required: true },
    ],
    preview: async (values, signal) => {
      if (!values.rate) throw new Error("the rate is a number, 1 to 1000");
      const found = await change("POST", path, { body: { ...asked(values), dry_run: true }, signal, isDry: true });
      const span = found.count ? [" due from ", moment(found.first_due_at), " through ", moment(found.last_due_at)] : [];
      const there = found.there ? h("p", {}, `${several(found.there, "more is", "more are")} left out: sent, or still to be sent.`) : null;
      const rate = found.count ? `, ${number(Number(values.rate))} a second: in about ${lasting(Math.ceil(found.count / Number(values.rate)) * 1_000)}` : "";
      const says = h("p", {}, `${several(found.count, "event")} would be sent`, ...span, rate, ".");
      const recorded = found.recorded_since ? h("p", { class: "wrong" }, "The record begins at ", moment(found.recorded_since), ": begin there.") : null;
      return { says: [says, there, recorded], possible: found.count > 0 && !found.recorded_since, kept: found.count };
    },
    run: async (values, count) => {
      const begun = await change("POST", path, { body: { ...asked(values), expect_count: count }, key });
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
      const { schedules, paused: before } = await read("v1/schedules:due", { query: { limit: LISTED }, signal });
      const first = schedules.map((/** @type {Schedule} */ one) => h("li", {}, moment(one.next_due_at), " ", one.name));
      const says = `Nothing at all is sent ${until(values.for, span(values.for ?? ""))}. The first that it would hold back:`;
      return { says: [already(before), h("p", {}, says), h("ul", {}, first)], kept: before };
    },
    run: async (values, before) => {
      same(before, await pauseOfAll());
      await change("POST", "v1/pause", { body: { ...paused(values), all: true, by: caller()?.owner ?? "page" } });
      return "Everything is paused.";
    },
  });
}

export function resumeEverything() {
  return ask({
    title: "Resume everything",
    verb: "Resume",
    fields: [ON_RESUME],
    preview: async (values, signal) => {
      const [before, ready] = await Promise.all([pauseOfAll(signal), read("readyz", { signal, also: 503 })]);
      if (!before) return { says: h("p", {}, "Nothing is paused as a whole any more."), possible: false };
      // Of a clock that follows, this is not told.
      const many = ready.role === "follower" ? "What" : `${several(ready.outstanding, "schedule")} had something due: what`;
      const fate = values.on_resume === "skip" ? "is recorded as skipped" : "is treated as each schedule's catch_up says";
      return { says: h("p", {}, `${many} fell due since `, moment(before.since), ` ${fate}.`), kept: before };
    },
    run: async (values, before) => {
      same(before, await pauseOfAll());
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
  /** @param {Record<string, string>} values @param {object} which */
  const asked = (values, which) => ({ filter: which, ...(verb === "pause" ? paused(values) : { on_resume: values.on_resume }) });
  const word = verb === "pause" ? "Pause" : "Resume";
  const chosenBy = Object.entries(filter).map(([name, value]) => `${name} ${value}`).join(", ");
  return ask({
    title: `${word} all schedules with ${chosenBy}`,
    verb: word,
    danger: verb === "pause",
    fields: verb === "pause" ? [NOTE, LENGTH, ON_RESUME] : [ON_RESUME],
    preview: async (values, signal) => {
      // A note is wanted also where nothing is done.
      const body = { ...asked({ ...values, note: "a look" }, filter), dry_run: true };
      const found = await change("POST", path, { body, signal, isDry: true });
      const more = found.count > LISTED ? ` and ${number(found.count - LISTED)} more` : "";
      const names = found.names.slice(0, LISTED).map((/** @type {string} */ name) => h("li", {}, name));
      const were = found.were_paused && verb === "pause" ? ` ${number(found.were_paused)} of them are paused by name already.` : "";
      const says = [h("p", {}, `${several(found.count, "schedule")} would be ${verb}d.${were}`), h("ul", {}, names), more ? h("p", {}, more) : null];
      // Those that were looked at, where all of them are known; else as many.
      const which = found.count <= found.names.length ? { names: found.names } : filter;
      return { says, possible: found.count > 0, kept: { which, count: found.count } };
    },
    run: async (values, { which, count }) => {
      const done = await change("POST", path, { body: { ...asked(values, which), expect_count: count } });
      return `${several(done.count, "schedule")}: ${verb}d.`;
    },
  });
}

/** @param {Record<string, string>} values */
function paused(values) {
  return { note: values.note, ...(values.for ? { for: values.for, on_resume: values.on_resume } : {}) };
}

/**
 * @param {string} name
 * @param {AbortSignal} [signal]
 * @returns {Promise<Schedule>} as it is now
 */
function scheduleOf(name, signal) {
  return read(`v1/schedules/${part(name)}`, { signal });
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<Pause | null>} the pause of everything, if there is one, of the clock that leads
 */
async function pauseOfAll(signal) {
  const { paused: pause } = await read("v1/schedules:due", { query: { limit: 1 }, signal });
  return pause ?? null;
}

/** @param {Pause | null | undefined} pause */
function already(pause) {
  if (!pause) return null;
  const end = pause.until ? ["; it ends ", moment(pause.until)] : "; it ends when somebody resumes";
  return h("p", { class: "wrong" }, "It is paused already, since ", moment(pause.since), ` by ${pause.by} (${pause.note})`, end, ". This replaces who paused it, why and until when.");
}

/**
 * Nothing is done to another pause than the one that was shown.
 *
 * @param {Pause | null | undefined} shown
 * @param {Pause | null | undefined} now
 */
function same(shown, now) {
  const of = (/** @type {Pause | null | undefined} */ pause) => JSON.stringify(pause && [pause.since, pause.by, pause.note, pause.until]);
  if (of(shown ?? null) === of(now ?? null)) return;
  throw new Error(now ? `${now.by} has paused it meanwhile (${now.note}): close this, and look again` : "it was resumed meanwhile: close this, and look again");
}

/** @param {string | undefined} text @param {number | null} length */
function until(text, length) {
  if (length === null) return "until somebody resumes it";
  return Number.isNaN(length) ? `for '${text}', if the clock takes that as a length` : `for ${lasting(length)}`;
}

/**
 * What is due next of a schedule, up to a thousand.
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

/** @param {string[]} instants */
function list(instants) {
  const more = instants.length > LISTED ? h("li", { class: "quiet" }, instants.length >= LOOKED_AT ? "and more" : `and ${number(instants.length - LISTED)} more`) : null;
  return h("ul", {}, instants.slice(0, LISTED).map((due) => h("li", {}, moment(due))), more);
}

/** @type {Record<string, number>} */
const UNITS = { ms: 1, s: 1_000, sec: 1_000, second: 1_000, m: 60_000, min: 60_000, minute: 60_000, h: 3_600_000, hr: 3_600_000, hour: 3_600_000, d: 86_400_000, day: 86_400_000, w: 604_800_000, wk: 604_800_000, week: 604_800_000 };

/**
 * A length of time, in ms; null where none is written, NaN where it is written as only the clock can tell.
 *
 * @param {string} text
 */
function span(text) {
  if (text === "") return null;
  const pieces = [...text.toLowerCase().matchAll(/(\d+)\s*([a-z]+)\s*/gy)];
  if (pieces.map(([whole]) => whole).join("") !== text.toLowerCase()) return NaN;
  return pieces.reduce((sum, [, count, unit = ""]) => sum + Number(count) * (UNITS[unit] ?? UNITS[unit.replace(/s$/, "")] ?? NaN), 0);
}

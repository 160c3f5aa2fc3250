/** One schedule: how it is, what it says, its next occurrences with why, and what became of the last ones. */

import { backfill, pause, resume, trigger } from "./actions.js";
import { part, read } from "./api.js";
import { changeRows, earlier, HEADS } from "./changes.js";
import { coverageOf, readCoverage } from "./coverage.js";
import { facts, h, panel, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { renew } from "./renew.js";
import { askedBy, outcome, whyLink } from "./outcome.js";
import { state } from "./schedules.js";
import { may } from "./session.js";
import { clockTime, countdown, lasting, moment, number, regularly, several } from "./time.js";
import { reason } from "./reason.js";

/** Occurrences that are listed. */
const NEXT = 20;
/** How often the clock is asked how it is, in ms. */
const EVERY = 5_000;
/** How often it is asked who handles its event, in ms. */
const COVERAGE = 30_000;
/** Rows of the record on a page. */
const ROWS = 25;
/** How long the clock may take to check the record, in ms, and a little longer. */
const AUDIT = 310_000;

/** @param {import("./app.js").View} view */
export async function schedule({ root, name, signal, again }) {
  const path = `v1/schedules/${part(name)}`;
  const reading = [
    read(`${path}/next`, { query: { count: NEXT }, signal }),
    read("v1/history", { query: { schedule: name, limit: ROWS }, signal }),
    read("v1/changes", { query: { schedule: name, limit: 20 }, signal }),
  ];
  // Each by itself: one that fails hides nothing of the others, and takes no button away.
  const [one, [coming, record, log]] = await Promise.all([read(path, { signal }), Promise.allSettled(reading)]);
  const back = h("a", { href: "#/schedules", class: "back" }, "← Schedules");
  const [title, trouble, how, beside, due, handled] = [h("h1"), h("div"), h("div"), h("div", { class: "beside" }), h("div"), h("div", { "aria-busy": "true" })];
  const draw = (/** @type {any} */ one) => {
    renew(title, name, " ", state(one));
    renew(trouble, troubles(one));
    renew(how, about(one));
    renew(beside, buttons(one, again));
  };
  draw(one);
  let known = coming?.status === "fulfilled" ? coming.value : null;
  show(due, readable(coming, upcoming));
  show(
    root,
    back,
    h("div", { class: "title" }, title, beside),
    trouble,
    h("div", { class: "two" }, panel("How it is", how), panel("Definition", h("pre", { tabindex: "0" }, JSON.stringify(one.definition, null, 2)))),
    panel("Next", due),
    panel("What became of it", readable(record, (value) => history(value, name, signal)), [...audit(name, signal), h("a", { href: `#/timeline?prefix=${encodeURIComponent(name)}` }, "On the timeline")]),
    panel("Who handles it", handled),
    panel("Who changed it", readable(log, ({ changes }) => table("Changes", HEADS, changeRows(changes), "Nobody did at run time."))),
  );
  regularly(async () => {
    draw(await read(path, { signal }));
    if (known && !isPast(known.occurrences.find((/** @type {any} */ next) => next.due_at)?.due_at)) return;
    known = await read(`${path}/next`, { query: { count: NEXT }, signal });
    renew(due, upcoming(known));
  }, EVERY, signal);
  // Last: of many events it takes a while.
  const covered = async () => {
    const [found] = await Promise.allSettled([readCoverage(signal)]);
    if (signal.aborted) return false;
    renew(handled, readable(found, ({ known, off }) => (known ? coverageOf(known, one.event ?? "") : h("p", { class: "quiet" }, off))));
    handled.setAttribute("aria-busy", "false");
    // Where the clock does not listen to services, it is not asked again.
    return !(found.status === "fulfilled" && found.value.off);
  };
  if (await covered()) regularly(covered, COVERAGE, signal);
}

/**
 * What was read, as `view` has it; or why it was not.
 *
 * @param {PromiseSettledResult<any> | undefined} found
 * @param {(value: any) => import("./dom.js").Child | import("./dom.js").Child[]} view
 */
function readable(found, view) {
  return found?.status === "fulfilled" ? view(found.value) : h("p", { class: "wrong" }, words(found?.reason));
}

/** @param {string | null | undefined} instant */
function isPast(instant) {
  return typeof instant === "string" && Date.parse(instant) < clockTime();
}

/**
 * @param {any} one
 * @param {() => void} again
 */
function buttons(one, again) {
  if (!may("operate")) return h("small", {}, "Give a token to pause or trigger it.");
  /** @param {string} word @param {(one: any) => Promise<boolean>} does */
  const button = (word, does) => h("button", { type: "button", "data-key": word, onclick: async () => (await does(one)) && again() }, word);
  return [one.pause ? button("Resume …", resume) : button("Pause …", pause), button("Send one now …", trigger), button("Backfill …", backfill)];
}

/** @param {any} one */
function troubles(one) {
  const { pause: held, refused } = one;
  const said = [
    held ? h("li", {}, "Paused since ", moment(held.since), ` by ${held.by}: ${held.note}. `, held.until ? ["It ends ", countdown(held.until), "."] : "It ends when somebody resumes it.") : null,
    one.paused ? h("li", {}, "Its definition says paused = true: its occurrences are skipped.") : null,
    refused ? h("li", {}, `The broker refuses its event (${several(refused.times, "time")}): ${refused.reason}`) : null,
    one.outstanding ? h("li", {}, "Outstanding: what is due after ", moment(one.outstanding.after), " through ", moment(one.outstanding.through), ".") : null,
  ].filter((item) => item !== null);
  return said.length ? h("ul", { class: `verdict ${refused ? "bad" : "busy"}` }, said) : null;
}

/** @param {any} one */
function about(one) {
  return facts([
    ["Event", h("code", {}, one.event ?? "not understood by this version")],
    ["When", one.timing],
    ["Next due", one.next_due_at ? [moment(one.next_due_at), " ", countdown(one.next_due_at)] : "never any more"],
    ["Last sent", moment(one.last_sent_at, true)],
    ["Sent", one.returned ? `${number(one.confirmed)}, of which ${number(one.returned)} reached nobody` : number(one.confirmed)],
    ["From", one.origin === "file" ? (one.place ?? "a file") : `${one.owner}, by ${one.door}`],
    ["Revision", [String(one.revision), one.creation ? ` of creation ${one.creation}` : null, ", since ", moment(one.effective_from)]],
  ]);
}

/** @param {{ occurrences: any[], notes: string[] }} coming */
function upcoming(coming) {
  const rows = coming.occurrences.map((one) => {
    const zone = [one.local_time.replace("T", " "), h("small", {}, ` ${one.utc_offset ?? ""} ${one.time_zone}`)];
    const why = [...new Set(one.why.map(reason))].filter(Boolean).join("; ");
    const times = one.times > 1 ? ` (${number(one.times)} times)` : "";
    return row(
      [one.due_at ? [moment(one.due_at), " ", countdown(one.due_at)] : h("span", { class: "quiet" }, `left out${times}`), zone, why],
      one.due_at ? {} : { class: "left-out" },
    );
  });
  const notes = coming.notes.map((note) => h("p", { class: "quiet" }, note));
  return [table("Next occurrences", ["Due", "Wall clock", "Why"], rows, "Nothing is due any more."), ...notes];
}

/**
 * @param {{ rows: any[], next: string | null }} first
 * @param {string} name
 * @param {AbortSignal} signal
 */
function history(first, name, signal) {
  const whole = h("div");
  /** @type {HTMLTableRowElement[]} */
  let rows = [];
  const draw = (/** @type {{ rows: any[], next: string | null }} */ page) => {
    rows = [...rows, ...page.rows.map(outcomeRow)];
    const more = earlier(async () => draw(await read("v1/history", { query: { schedule: name, limit: ROWS, before: page.next }, signal })));
    show(whole, table("Outcomes", ["Due", "Outcome", "Sent", "Late"], rows, "The record has nothing of it."), page.next && page.rows.length ? h("nav", { class: "pages", "aria-label": "Earlier" }, more) : null);
  };
  draw(first);
  return whole;
}

/** @param {any} one */
function outcomeRow(one) {
  const asked = askedBy(one);
  const at = asked ? whyLink(asked, moment(one.due_at)) : moment(one.due_at);
  const due = one.count > 1 ? [moment(one.first_due_at), " – ", at, h("small", {}, ` ${number(one.count)} due times`)] : at;
  const kind = one.kind === "occurrence" ? null : h("small", {}, ` ${one.kind}`);
  return row([due, [outcome(one), kind], one.sent_at ? moment(one.sent_at, true) : "", typeof one.lateness_ms === "number" ? lasting(one.lateness_ms) : ""]);
}

/**
 * @param {string} name
 * @param {AbortSignal} signal
 */
function audit(name, signal) {
  const said = h("span", { class: "quiet", role: "status" });
  const button = h("button", { type: "button" }, "Check the record");
  button.title = "Compares the record with the arithmetic of its schedule";
  button.addEventListener("click", async () => {
    button.disabled = true;
    show(said, "comparing …");
    try {
      const { totals } = await read("v1/audit", { query: { schedule: name }, signal, limit: AUDIT });
      const wrong = totals.holes + totals.surplus;
      show(said, wrong ? `${several(totals.holes, "hole")}, ${number(totals.surplus)} too many, of ${number(totals.expected)}` : `all ${number(totals.expected)} accounted for`);
    } catch (error) {
      show(said, words(error));
    }
    button.disabled = false;
  });
  return [said, button];
}

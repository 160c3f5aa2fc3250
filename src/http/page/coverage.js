/** Who handles which event, how much of it and how fast; who is silent; what reaches nobody, and what was not handled in time. */

import { Refused, read } from "./api.js";
import { calm, h, panel, pill, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { whyLink } from "./outcome.js";
import { renew } from "./renew.js";
import { lasting, moment, number, regularly, several } from "./time.js";

/** How often it is asked again, in ms: the clock looks through all that it has heard. */
const EVERY = 10_000;
/** Rows of a table that are shown before somebody wants more; of the latest that was missed, fewer. */
const [ROWS, LATEST] = [100, 20];
/** For how long, in ms, something that was missed makes the heading: as long as `/readyz` warns of it. */
const RECENT = 3_600_000;

/**
 * @typedef {{ service: string, queue: string, handler: string, declared: boolean, within_ms?: number, due: number, handled: number,
 *   share?: number, waiting: number, dead: number, heard_at?: string, p99_ms?: number, silent: boolean }} Handler
 */
/** @typedef {{ event: string, seen: number, seen_at?: string, published_by?: string[], reaches_nobody: boolean, handlers: Handler[] }} EventCoverage */
/** @typedef {{ service: string, state: string, workers: number, handlers: number, heard_at?: string, lost_at?: string }} Service */
/** @typedef {{ event_id: string, event: string, service: string, queue: string, due_at: string, state: string, attempts: number, reason?: string }} Miss */
/** @typedef {{ event_id: string, event?: string, service: string, queue: string, at: string, doubt: string }} Uncertain */
/** @typedef {{ at: string, since?: string, listening: boolean, interrupted_at?: string, events: EventCoverage[], left_out: number, services: Service[], missed: Miss[], uncertain: Uncertain[] }} Coverage */
/** @typedef {[string, "good" | "busy" | "bad" | "still"]} Mark */

/** @type {Record<string, [string, Mark[1]]>} */
const SERVICES = { running: ["at work", "good"], stopped: ["stopped", "bad"], silent: ["silent", "bad"], declared: ["declared only", "busy"] };
/** @type {Record<string, string>} */
const MISSED = { "not-received": "nothing reported", waiting: "waits", dead: "in the dead letters" };
/** @type {Record<string, string>} */
const DOUBTS = {
  trimmed: "it is not kept any more",
  interrupted: "nobody listened for a while",
  "report-lost": "a report of the service was lost or dropped",
  "worker-silent": "a worker of the service went without a word; it may have handled it",
  "new-here": "the clock has not listened for long enough to know all workers of the service",
  "caught-up": "it was sent after its time, with others perhaps",
  "given-up": "whoever declared the handler has stopped, and a worker that began since does not declare it",
};

/**
 * Who handles what; or why the clock does not know.
 *
 * @param {AbortSignal} signal
 * @returns {Promise<{ known: Coverage, off: null } | { known: null, off: string }>}
 */
export async function readCoverage(signal) {
  try {
    return { known: await read("v1/coverage", { signal }), off: null };
  } catch (error) {
    if (error instanceof Refused && error.code === "not-observed") return { known: null, off: error.message };
    throw error;
  }
}

/** @param {import("./app.js").View} view */
export async function coverage({ root, query, signal }) {
  const has = h("input", { type: "search", id: "coverage-has", value: query.get("has") ?? "", placeholder: "order.", autocomplete: "off", spellcheck: "false" });
  const only = h("input", { type: "checkbox", id: "coverage-only", checked: query.has("troubled") });
  const filter = h("form", { class: "filter", role: "search" },
    h("div", { class: "field" }, h("label", { for: has.id }, "Event or service has"), has),
    h("div", { class: "field check" }, h("label", { for: only.id }, "Only what needs a look"), only));
  // For readers of screens: how many there are, when the filter is another one.
  const said = h("p", { class: "unseen", role: "status" });
  const [top, list] = [h("div", { "aria-busy": "true" }), h("div", { class: "view" })];
  show(root, h("h1", {}, "Coverage"), top, filter, said, list);
  /** @type {Coverage | null} */
  let known = null;
  /** How many rows are shown, by table. @type {Record<string, number>} */
  const shown = { "Not handled in time": LATEST, Uncertain: LATEST };
  const draw = () => {
    if (!known) return;
    const { missed, uncertain, services } = known;
    const events = passing(known.events, has.value.trim(), only.checked);
    renew(top, verdict(known));
    /**
     * A table of which somebody may want more.
     *
     * @template One
     * @param {string} title @param {string} caption @param {string[]} heads @param {One[]} all
     * @param {(one: One) => HTMLTableRowElement} rowOf @param {string} none
     */
    const listed = (title, caption, heads, all, rowOf, none) => {
      const most = shown[title] ?? ROWS;
      const more = () => {
        shown[title] = most + ROWS;
        draw();
      };
      const button = h("button", { type: "button", "data-key": title, onclick: more }, `${number(all.length - most)} more`);
      const pages = all.length > most && h("nav", { class: "pages", "aria-label": `More: ${title}` }, button);
      return panel(title, [table(caption, heads, all.slice(0, most).map(rowOf), none), pages]);
    };
    const none = known.events.length ? "None passes this filter." : "No event was seen so far, and no service has declared that it handles any.";
    const leftOut = known.left_out ? h("p", { class: "quiet" }, `${several(known.left_out, "more name")} of events left out: there are too many for one answer.`) : null;
    renew(
      list,
      listed("Events", "Who handles which event", HEADS, events, eventRow, none),
      leftOut,
      listed("Services", "Services that report", SERVICE, services, serviceRow, "No service has reported anything so far."),
      listed("Not handled in time", "The latest that was not handled in time", MISS, missed, missRow, "Nothing, as far as that is certain."),
      uncertain.length ? listed("Uncertain", "The latest of which it is not certain", DOUBT, uncertain, uncertainRow, "") : null,
    );
    return events.length;
  };
  let isOff = false;
  const look = async () => {
    try {
      const found = await readCoverage(signal);
      known = found.known;
      isOff = found.off !== null;
      if (found.off !== null) show(root, h("h1", {}, "Coverage"), panel("Services are not observed", h("p", {}, found.off)));
      else draw();
    } catch (error) {
      if (signal.aborted) return;
      renew(top, panel("This can't be shown", h("p", { class: "wrong" }, words(error))));
    }
    top.setAttribute("aria-busy", "false");
  };
  const anew = () => {
    // It was typed right before another view was shown.
    if (signal.aborted) return;
    const text = new URLSearchParams({ ...(has.value.trim() ? { has: has.value.trim() } : {}), ...(only.checked ? { troubled: "" } : {}) }).toString();
    history.replaceState(null, "", `#/coverage${text ? `?${text}` : ""}`);
    said.textContent = several(draw() ?? 0, "row");
  };
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", calm(anew, 150));
  await look();
  regularly(async () => isOff || look(), EVERY, signal);
}

const HEADS = ["Event", "Seen", "Service", "Handled", "99 % within", "Last heard", "State"];
const SERVICE = ["Service", "State", "Workers", "Handlers", "Last heard", "Reports lost"];
const MISS = ["Event", "Service", "Until", "State", "Reason"];
const DOUBT = ["Event", "Service", "Found", "Why it is not certain"];

/** @typedef {{ event: EventCoverage, handler: Handler | null }} Pair */

/**
 * What passes the filter, each handler of an event by itself: what needs a look first.
 *
 * @param {EventCoverage[]} events
 * @param {string} text
 * @param {boolean} isTroubled
 */
function passing(events, text, isTroubled) {
  /** @type {Pair[]} */
  const all = events.flatMap((event) => [...event.handlers, ...(event.handlers.length ? [] : [null])].map((handler) => ({ event, handler })));
  const passes = all.filter(({ event, handler }) => event.event.includes(text) || handler?.service.includes(text));
  const graded = passes.map((pair) => ({ ...pair, grade: grade(pair) })).filter(({ grade }) => !isTroubled || grade < UNTROUBLED);
  return graded.sort((a, b) => a.grade - b.grade);
}

/** @param {Pair} pair */
function eventRow({ event, handler }) {
  const seen = [number(event.seen), event.seen_at ? h("small", {}, " last ", moment(event.seen_at)) : null];
  return row([h("code", {}, event.event), seen, ...handled(handler, event)], { "data-key": `${event.event} ${handler?.queue ?? ""} ${handler?.handler ?? ""}` });
}

/** What needs no look. */
const UNTROUBLED = 3;

/** Whether a service publishes it for nobody. Of what the clock sends that is usual. @param {EventCoverage} event */
function isInVain(event) {
  return event.reaches_nobody && (event.published_by ?? []).length > 0;
}

/** @param {Pair} pair */
function grade({ event, handler }) {
  if (handler && (handler.silent || handler.dead)) return 0;
  if (isInVain(event)) return 1;
  return handler?.waiting ? 2 : UNTROUBLED;
}

/**
 * The cells of one handler of an event.
 *
 * @param {Handler | null} one none: nobody handles it
 * @param {EventCoverage} event
 * @returns {(import("./dom.js").Child | import("./dom.js").Child[])[]}
 */
function handled(one, event) {
  if (!one) {
    const by = isInVain(event) ? h("small", {}, ` published by ${event.published_by?.join(", ")}`) : null;
    return ["", "", "", "", [pill("reaches nobody", by ? "busy" : "still"), by]];
  }
  return [
    h("span", { title: `queue ${one.queue}` }, one.service),
    typeof one.share === "number" ? [`${share(one)} `, h("small", {}, `${number(one.handled)} of ${number(one.due)}`)] : h("small", {}, "nothing was due"),
    typeof one.p99_ms === "number" ? lasting(one.p99_ms) : "",
    moment(one.heard_at),
    h("span", { class: "pills" }, marks(one).map(([word, mood]) => pill(word, mood))),
  ];
}

/** Rounded down: what is not all handled is not 100 %. @param {Handler} one */
export function share({ share: part = 0 }) {
  return `${(Math.floor(part * 1000) / 10).toLocaleString("en")} %`;
}

/** What is to be said of a handler, the gravest first. @param {Handler} one @returns {Mark[]} */
export function marks(one) {
  /** @type {(Mark | null)[]} */
  const all = [
    one.silent ? ["silent", "bad"] : null,
    one.dead ? [`${number(one.dead)} dead`, "bad"] : null,
    one.waiting ? [`${number(one.waiting)} waiting`, "busy"] : null,
    one.declared ? null : ["not declared", "still"],
  ];
  const said = all.filter((mark) => mark !== null);
  return said.length ? said : [["handles it", "good"]];
}

/**
 * Who handles the events of one name, whoever sent them.
 *
 * @param {Coverage} known
 * @param {string} name
 */
export function coverageOf(known, name) {
  const event = known.events.find((one) => one.event === name);
  const rows = (event?.handlers ?? []).map((one) => row(event ? handled(one, event) : []));
  const none = event?.reaches_nobody ? "Nobody who reports handles it." : "Nothing was heard of this event so far.";
  const since = known.since ? [" Observed since ", moment(known.since), known.listening ? "." : "; not at present."] : [];
  return [
    table("Who handles its event", HEADS.slice(2), rows, none),
    h("p", { class: "quiet" }, "Counted are all events of this name, whichever schedule or service sent them.", ...since, " ", h("a", { href: `#/coverage?has=${encodeURIComponent(name)}` }, "In Coverage")),
  ];
}

/** @param {Coverage} known */
function verdict({ at, since, listening, interrupted_at: gap, events, services, missed, uncertain }) {
  const handlers = events.flatMap((one) => one.handlers);
  const late = missed.filter((one) => Date.parse(at) - Date.parse(one.due_at) < RECENT).length;
  const silent = handlers.filter((one) => one.silent).length;
  const gone = services.filter((one) => one.state === "silent").length;
  const stopped = services.filter((one) => one.state === "stopped").length;
  const nobody = events.filter((one) => one.reaches_nobody && one.seen).length;
  const inVain = events.some(isInVain);
  const dead = handlers.reduce((sum, one) => sum + one.dead, 0);
  const isBad = late + silent + gone > 0;
  const isBusy = !listening || inVain || dead + stopped + uncertain.length > 0;
  const said = [
    late ? `${several(late, "event")} not handled in time within the last hour.` : null,
    silent ? `${several(silent, "handler is", "handlers are")} silent: nothing was reported of the newest event whose time is over.` : null,
    gone ? `${several(gone, "service")} went without a word.` : null,
    stopped ? `${several(stopped, "service is", "services are")} stopped.` : null,
    dead ? `${several(dead, "event lies", "events lie")} in the dead letters.` : null,
    nobody ? `${several(nobody, "event reaches", "events reach")} nobody who reports, by name.` : null,
    uncertain.length ? `Of ${several(uncertain.length, "event")} it is not certain whether it was handled.` : null,
    listening ? null : "The clock has no connection to listen by at present.",
  ].filter((text) => text !== null);
  const heading = isBad ? "Something is not handled" : isBusy ? "Something needs a look" : "Nothing is missing";
  const when = since ? ["Observed since ", moment(since), ...(gap ? [", with a gap at ", moment(gap)] : []), "."] : ["Nothing is observed yet."];
  const list = said.length ? h("ul", {}, said.map((text) => h("li", {}, text))) : null;
  const mood = isBad ? "bad" : isBusy ? "busy" : "good";
  return h("section", { class: `verdict ${mood}` }, h("div", {}, h("h2", {}, heading), list, h("p", { class: "quiet" }, ...when)));
}

/** @param {Service} one */
function serviceRow(one) {
  const [word, mood] = SERVICES[one.state] ?? [one.state, "still"];
  const cells = [one.service, pill(word, mood), number(one.workers), number(one.handlers), moment(one.heard_at), one.lost_at ? moment(one.lost_at) : ""];
  return row(cells, { "data-key": one.service });
}

/** @param {Miss} one */
function missRow(one) {
  const state = [MISSED[one.state] ?? one.state, one.attempts ? h("small", {}, ` after ${several(one.attempts, "attempt")}`) : null];
  return row([whyLink(one.event_id, one.event || one.event_id), one.service, moment(one.due_at), state, h("bdi", {}, one.reason ?? "")], { "data-key": `${one.event_id} ${one.queue}` });
}

/** @param {Uncertain} one */
function uncertainRow(one) {
  return row([whyLink(one.event_id, one.event || one.event_id), one.service, moment(one.at), DOUBTS[one.doubt] ?? one.doubt], { "data-key": `${one.event_id} ${one.queue}` });
}

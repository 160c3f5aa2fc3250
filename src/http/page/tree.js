/**
 * What came of events, as nested lists: who handled them, attempt by attempt, what they published, and what came of that. What is drawn
 * at first is bounded; the rest is drawn when somebody opens it.
 */

import { h, pill } from "./dom.js";
import { whyLink } from "./outcome.js";
import { lasting, moment, number, several } from "./time.js";

/** @typedef {"good" | "busy" | "bad" | "still"} Mood */
/** @typedef {{ id: string, name: string, source?: string, subject?: string, queue?: string, first_at: string, sent_at?: string, sent: number, lateness_ms?: number, trace_id?: string }} Seen */
/** @typedef {{ attempt: number, outcome: string, began_at: string, ended_at: string, reason?: string, due_at?: string }} Attempt */
/** @typedef {{ service: string, queue: string, handler?: string, state: string, attempts: Attempt[], left_out?: number }} Handling */
/** @typedef {{ service: string, queue: string, handler: string, due_at?: string, state: string }} Awaited */
/** @typedef {{ event: Seen, handlings: Handling[], awaited?: Awaited[], followed?: TreeNode[] }} TreeNode */

/**
 * What somebody opened or closed, by the ids of events; how many of a list are shown; and what draws the tree again.
 *
 * @typedef {{ open: Map<string, boolean>, shown: Map<string, number>, again: () => void }} Opened
 */

/** Events that are open at first: those nearest to the one that is asked for. */
const OPEN = 50;
/** How many of each are shown before somebody wants more: the first, and the last. @type {Record<"events" | "handlers" | "attempts", [number, number]>} */
const MOST = { events: [50, 0], handlers: [10, 0], attempts: [1, 3] };
/** How many more are shown then. */
const MORE = 50;

/** @type {Record<string, [string, Mood]>} */
const HANDLED = { handled: ["handled", "good"], waiting: ["waits", "busy"], dead: ["in the dead letters", "bad"] };
/** @type {Record<string, [string, Mood]>} */
const AWAITED = { awaited: ["awaited", "busy"], missed: ["not handled", "bad"], uncertain: ["uncertain", "busy"], "not-yet-declared": ["declared later", "still"] };
/** @type {Record<string, string>} */
const OUTCOMES = { done: "done", "already-handled": "was handled already", skipped: "skipped", retried: "failed", snoozed: "put off", released: "given back", dead: "dead-lettered", cancelled: "cancelled" };
/** The gravest first. @type {Mood[]} */
const GRAVITY = ["bad", "busy", "still", "good"];

/**
 * Who handled an event, or is to, each with how far that is; the gravest first.
 *
 * @param {TreeNode} node
 * @returns {{ service: string, word: string, mood: Mood }[]}
 */
export function handlers({ handlings, awaited = [] }) {
  const all = [
    ...handlings.map(({ service, state }) => ({ service, said: HANDLED[state] })),
    ...awaited.map(({ service, state }) => ({ service, said: AWAITED[state] })),
  ];
  const known = all.map(({ service, said: [word, mood] = ["not known here", "still"] }) => ({ service, word, mood }));
  return known.sort((a, b) => GRAVITY.indexOf(a.mood) - GRAVITY.indexOf(b.mood));
}

/** @param {TreeNode[]} roots @param {Opened} opened */
export function tree(roots, opened) {
  const first = nearest(roots);
  const isOpen = (/** @type {string} */ id) => opened.open.get(id) ?? first.has(id);
  /** @param {TreeNode} node @param {number} level @returns {HTMLLIElement} */
  const item = (node, level) => {
    const { id } = node.event;
    const toggled = (/** @type {Event} */ { currentTarget: details }) => {
      if (!(details instanceof HTMLDetailsElement) || details.open === isOpen(id)) return;
      opened.open.set(id, details.open);
      opened.again();
    };
    const summary = h("summary", {}, line(node.event), " ", mark(node));
    return h("li", { "data-key": id }, h("details", { open: isOpen(id), ontoggle: toggled }, summary, isOpen(id) ? inside(node, level) : null));
  };
  /** @param {TreeNode} node @param {number} level */
  const inside = (node, level) => {
    const followed = node.followed ?? [];
    const rest = followed.length ? h("ul", { class: "tree", "aria-label": "What followed" }, some(`followed ${node.event.id}`, followed, MOST.events, opened, (one) => item(one, level + 1))) : null;
    return h("div", { class: "came" }, ids(node.event, level), came(node, opened), rest);
  };
  return h("ul", { class: "tree" }, some("roots", roots, MOST.events, opened, (one) => item(one, 1)));
}

/** An event in a line. @param {Seen} event */
export function line(event) {
  const said = [
    event.queue ? ` task in ${event.queue}` : "",
    event.source ? ` from ${event.source}` : "",
    event.subject ? ` (${event.subject})` : "",
    event.sent_at ? ", sent " : ", first heard of ",
    moment(event.sent_at ?? event.first_at, true),
    event.sent > 1 ? `, ${several(event.sent, "time")}` : "",
    typeof event.lateness_ms === "number" ? `, ${lasting(event.lateness_ms)} late` : "",
  ];
  return h("span", {}, h("code", {}, event.name || "(an event that was not seen)"), h("small", {}, ...said));
}

/** The gravest of what became of it, in a word. @param {TreeNode} node */
function mark(node) {
  const [worst] = handlers(node);
  return worst ? pill(worst.word, worst.mood) : pill("nobody", "still");
}

/** Where it stands, for margins have an end. @param {Seen} event @param {number} level */
function ids({ id, trace_id: trace }, level) {
  return h("p", { class: "ids" }, h("small", {}, level > 3 ? `level ${level}, id ` : "id "), whyLink(id, id), trace ? [h("small", {}, " trace "), whyLink(trace, trace)] : null);
}

/**
 * What was reported of an event, and by whom it is awaited.
 *
 * @param {TreeNode} node
 * @param {Opened} opened
 */
function came({ event, handlings, awaited = [] }, opened) {
  if (handlings.length + awaited.length === 0) return h("p", { class: "quiet" }, "Nobody reports that they handle it.");
  /** @type {(() => HTMLLIElement)[]} */
  const all = [...handlings.map((one) => () => handling(one, event.id, opened)), ...awaited.map((one) => () => expected(one))];
  return h("ul", { class: "plain handlings", "aria-label": "Who handles it" }, some(`handlers ${event.id}`, all, MOST.handlers, opened, (draw) => draw()));
}

/**
 * @param {Handling} one
 * @param {string} id
 * @param {Opened} opened
 */
function handling(one, id, opened) {
  const [word, mood] = HANDLED[one.state] ?? ["not known here", "still"];
  const key = `attempts ${id} ${one.queue}`;
  // Those that are not kept lie between the first and the second.
  const lines = one.attempts.flatMap((attempt, at) => [
    ...(at === 1 && one.left_out ? [() => h("li", { class: "quiet" }, `${number(one.left_out ?? 0)} more, which are not kept`)] : []),
    () => h("li", {}, attempted(attempt)),
  ]);
  const list = h("ul", { class: "attempts", "aria-label": "Attempts" }, some(key, lines, MOST.attempts, opened, (draw) => draw()));
  return h("li", { "data-key": `handling ${one.queue}` }, h("strong", {}, one.service), " ", pill(word, mood), h("small", {}, ` queue ${one.queue}`), list);
}

/** @param {Attempt} one */
function attempted({ attempt, outcome, began_at: began, ended_at: ended, reason, due_at: due }) {
  const took = lasting(Math.max(Date.parse(ended) - Date.parse(began), 0));
  const word = OUTCOMES[outcome] ?? "ended in a way that is not known here";
  return [`attempt ${attempt} at `, moment(began, true), `: ${word} after ${took}`, reason ? [": ", h("bdi", {}, reason)] : "", due ? ["; again at ", moment(due, true)] : ""].flat();
}

/** @param {Awaited} one */
function expected({ service, queue, due_at: due, state }) {
  const [word, mood] = AWAITED[state] ?? ["not known here", "still"];
  const by = due ? [" by ", moment(due, true)] : [];
  /** @type {Record<string, import("./dom.js").Child[]>} */
  const said = {
    awaited: ["nothing reported yet; to be handled", ...(due ? by : [" in a time that it does not say"])],
    missed: ["not handled", ...by],
    uncertain: ["not reported as handled", ...by, "; reports may be missing"],
    "not-yet-declared": ["declared only after it was sent that it handles such"],
  };
  return h("li", { "data-key": `awaited ${queue}` }, h("strong", {}, service), " ", pill(word, mood), h("small", {}, ` queue ${queue}`), h("div", {}, ...(said[state] ?? [])));
}

/**
 * The first and the last of a list, and between them a button for more.
 *
 * @template One
 * @param {string} key
 * @param {One[]} all
 * @param {[number, number]} most
 * @param {Opened} opened
 * @param {(one: One) => HTMLLIElement} draw
 */
function some(key, all, [most, last], opened, draw) {
  const many = opened.shown.get(key) ?? most;
  const left = all.length - many - last;
  if (left <= 0) return all.map(draw);
  const more = () => {
    opened.shown.set(key, many + MORE);
    opened.again();
  };
  const button = h("li", { "data-key": `more ${key}` }, h("button", { type: "button", onclick: more }, `${number(left)} more`));
  return [...all.slice(0, many).map(draw), button, ...all.slice(many + left).map(draw)];
}

/** Those that are nearest to the roots. @param {TreeNode[]} roots @returns {Set<string>} */
function nearest(roots) {
  const found = new Set();
  for (let level = roots; level.length && found.size < OPEN; ) {
    level = level.slice(0, OPEN - found.size);
    for (const { event } of level) found.add(event.id);
    level = level.flatMap(({ followed }) => followed ?? []);
  }
  return found;
}

/** All schedules: a table that is filtered and cut into pages by the clock, so that a million are as quick as ten. */

import { read } from "./api.js";
import { chosen } from "./actions.js";
import { byId, calm, h, pill, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { renew } from "./renew.js";
import { may } from "./session.js";
import { countdown, moment, number, regularly, several } from "./time.js";

/** Rows of a page. */
export const ROWS = 50;
/** How often a page is read again, in ms. */
const EVERY = 5_000;
/** How often the clock is asked on for a page that a filter leaves empty, before a person is asked. Each time it looks through ten thousand. */
const TRIES = 20;

/** @type {[string, string, string][]} */
const TEXTS = [
  ["prefix", "Name begins with", "billing."],
  ["domain", "Domain", "billing.*"],
  ["owner", "Owner", "billing"],
  ["label", "Label", "team:billing"],
];
const STATES = ["active", "paused", "catching-up", "refused", "finished"];
const ORIGINS = ["file", "client"];

/** @param {import("./app.js").View} view */
export async function schedules({ root, query, signal, again }) {
  const filter = filterForm(query);
  const [list, beside] = [h("div", { "aria-busy": "true" }), h("div", { class: "beside" })];
  // For readers of screens: how many there are, when the filter is another one.
  const said = h("p", { class: "unseen", role: "status" });
  show(root, h("div", { class: "title" }, h("h1", {}, "Schedules"), beside), filter.element, said, list);

  let last = new AbortController();
  /** Where the pages before this one begin. @type {string[]} */
  let before = [];
  let shown = "";
  /** What is seldom found is looked for when a person asks. */
  let isDear = false;
  const look = async (/** @type {string} */ page, isQuiet = false) => {
    last.abort();
    const { signal: mine } = (last = new AbortController());
    if (!isQuiet) list.setAttribute("aria-busy", "true");
    shown = page;
    const until = AbortSignal.any([signal, mine]);
    const wanted = filter.values();
    try {
      /** @type {Found} */
      const found = await search("v1/schedules", wanted, page, until);
      isDear = found.looked > 1;
      if (isQuiet) renew(list, listed(found, page), pages(found, page));
      else show(list, listed(found, page), pages(found, page));
      list.setAttribute("aria-busy", "false");
      if (!isQuiet) said.textContent = `${several(found.schedules.length, "schedule")}${found.next ? ", and more on the pages to come" : ""}`;
      if (!isQuiet || !beside.hasChildNodes()) show(beside, together(wanted, again));
      // A button of the page before had it.
      if (!isQuiet && document.activeElement === document.body) byId("main").focus({ preventScroll: true });
    } catch (error) {
      if (until.aborted) return;
      list.setAttribute("aria-busy", "false");
      show(list, h("p", { class: "wrong" }, words(error)));
      show(beside);
    }
  };
  const pages = (/** @type {Found} */ found, /** @type {string} */ page) => {
    const back = h("button", { type: "button", disabled: before.length === 0, onclick: () => void look(before.pop() ?? "") }, "← Back");
    const on = h("button", {
      type: "button",
      disabled: found.next === null,
      onclick: () => (before.push(page), void look(found.next ?? "")),
    }, found.schedules.length ? "On →" : "Look further →");
    return before.length || found.next ? h("nav", { class: "pages", "aria-label": "Pages" }, back, on) : null;
  };
  const anew = () => {
    // It was typed right before another view was shown.
    if (signal.aborted) return;
    before = [];
    const text = new URLSearchParams(filter.values()).toString();
    history.replaceState(null, "", `#/schedules${text ? `?${text}` : ""}`);
    void look("");
  };
  filter.element.addEventListener("submit", (event) => event.preventDefault());
  const calmly = calm(anew, 150);
  filter.element.addEventListener("input", () => {
    // They are for what passed the former filter.
    show(beside);
    last.abort();
    calmly();
  });
  signal.addEventListener("abort", () => last.abort(), { once: true });
  await look("");
  // Whoever goes through the rows keeps them as they are.
  regularly(async () => isDear || list.contains(document.activeElement) || look(shown, true), EVERY, signal);
}

/** @typedef {{ schedules: any[], next: string | null, paused?: { by: string } | null, looked: number, page: string }} Found */

/**
 * The next page of a list of schedules that has something; with how many were looked at, and where it begins.
 *
 * @param {string} path
 * @param {import("./api.js").Query} wanted
 * @param {string} page
 * @param {AbortSignal} signal
 */
export async function search(path, wanted, page, signal) {
  for (let tries = 1; ; tries += 1) {
    const found = await read(path, { query: { ...wanted, limit: ROWS, page }, signal });
    if (found.schedules.length || found.next === null || tries === TRIES) return { ...found, looked: tries, page };
    page = found.next;
  }
}

/**
 * @param {Found} found
 * @param {string} page
 */
function listed(found, page) {
  const rows = found.schedules.map((one) => row([
    h("a", { href: `#/schedules/${encodeURIComponent(one.name)}` }, one.name),
    h("code", {}, one.event ?? "not understood"),
    one.timing,
    [moment(one.next_due_at), " ", countdown(one.next_due_at)],
    moment(one.last_sent_at),
    [number(one.confirmed), one.returned ? h("small", {}, ` ${number(one.returned)} reached nobody`) : null],
    state(one),
  ], { "data-key": one.name }));
  const none = found.next ? "None among those that were looked through so far." : page ? "There are no more." : "No schedule passes this filter.";
  return table("Schedules", ["Name", "Event", "When", "Next due", "Last sent", "Sent", "State"], rows, none);
}

/** @param {{ state: string, refused?: { reason: string } | null }} schedule */
export function state(schedule) {
  /** @type {Record<string, "good" | "busy" | "bad" | "still">} */
  const moods = { active: "good", paused: "still", finished: "still", "catching-up": "busy", refused: "bad" };
  return pill(schedule.state, moods[schedule.state] ?? "still");
}

/**
 * What may be done to all that pass a filter.
 *
 * @param {Record<string, string>} filter
 * @param {() => void} again
 */
function together(filter, again) {
  if (!may("operate") || Object.keys(filter).length === 0) return null;
  /** @param {"pause" | "resume"} verb @param {string} word */
  const button = (verb, word) => h("button", { type: "button", onclick: async () => (await chosen(verb, filter)) && again() }, word);
  return [button("pause", "Pause these …"), button("resume", "Resume these …")];
}

/**
 * What a list of schedules is filtered by, and what is filled in.
 *
 * @param {URLSearchParams} query
 */
export function filterForm(query) {
  const texts = TEXTS.map(([name, label, example]) => {
    const input = h("input", { type: "search", id: `filter-${name}`, name, value: query.get(name) ?? "", placeholder: example, autocomplete: "off", spellcheck: "false" });
    return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
  });
  /** @param {string} name @param {string} label @param {string[]} words */
  const choice = (name, label, words) => {
    const options = ["", ...words].map((word) => h("option", { value: word, selected: word === query.get(name) }, word || "any"));
    return h("div", { class: "field" }, h("label", { for: `filter-${name}` }, label), h("select", { id: `filter-${name}`, name }, options));
  };
  const element = h("form", { class: "filter", role: "search" }, texts, choice("state", "State", STATES), choice("origin", "From", ORIGINS));
  const values = () => Object.fromEntries([...new FormData(element)].map(([name, value]) => [name, String(value).trim()]).filter(([, value]) => value));
  return { element, values };
}


/**
 * The page's frame: which view is shown, by the address after `#`; who reads; keys.
 *
 * A view is a function that shows itself in an element and goes on until its signal: whatever it waits for, or does each
 * second, ends with it.
 */

import { Refused, read, refusals } from "./api.js";
import { caller, setCaller } from "./session.js";
import { byId, h, show } from "./dom.js";
import { words } from "./dialog.js";
import { health } from "./health.js";
import { keys } from "./keys.js";
import { notice } from "./notices.js";
import { signIn } from "./sign_in.js";
import { countDown, isUtc, showUtc } from "./time.js";
import { changes } from "./changes.js";
import { cluster } from "./cluster.js";
import { coverage } from "./coverage.js";
import { delayed } from "./delayed.js";
import { forecast } from "./forecast.js";
import { now } from "./now.js";
import { operations } from "./operations.js";
import { parked } from "./parked.js";
import { schedule } from "./schedule.js";
import { schedules } from "./schedules.js";
import { timeline } from "./timeline.js";
import { why } from "./why.js";

/**
 * @typedef {object} View
 * @property {HTMLElement} root where it shows itself
 * @property {string} name what it is about, such as the name of a schedule; empty for a list
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal
 * @property {() => void} again shows the view anew
 */

/** @typedef {{ title: string, list: (view: View) => Promise<void>, one?: (view: View) => Promise<void> }} Shown */

/** @type {Record<string, Shown>} */
const VIEWS = {
  now: { title: "Now", list: now },
  schedules: { title: "Schedules", list: schedules, one: schedule },
  timeline: { title: "Timeline", list: timeline },
  delayed: { title: "Delayed events", list: delayed },
  parked: { title: "Parked", list: parked },
  changes: { title: "Changes", list: changes },
  operations: { title: "Backfills", list: operations },
  forecast: { title: "Forecast", list: forecast },
  cluster: { title: "Cluster", list: cluster },
  why: { title: "Why", list: why, one: why },
  coverage: { title: "Coverage", list: coverage },
};

/** How often the clock is asked how it is, in ms. */
const HEALTH = 5_000;

let shown = new AbortController();
/** The token that there is, or that there is none, was refused: nothing is asked until another one is given. */
let isRefused = false;
/** The path of the view that is shown: its filter is no part of it. */
let place = "";

/** Shows what the address says. */
async function go() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [key = "", name = ""] = path.split("/").map(decoded);
  const view = Object.hasOwn(VIEWS, key) ? VIEWS[key] : undefined;
  if (!view) {
    location.replace("#/now");
    return;
  }
  shown.abort();
  const { signal } = (shown = new AbortController());
  const main = byId("main");
  for (const link of byId("views").querySelectorAll("a")) {
    if (link.dataset.view === key) {
      link.setAttribute("aria-current", "page");
      // On narrow screens they are more than fit.
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  document.title = `${name || view.title} · Khronos`;
  const root = h("div", { class: `view ${key}` });
  const isOther = place !== path;
  place = path;
  try {
    if (!caller()) await Promise.all([meet(signal), health(signal).catch(() => {})]);
    if (signal.aborted) return;
    isRefused = false;
    show(main, root);
    if (isOther) window.scrollTo(0, 0);
    // Also where an operation has it shown anew: what had the focus is gone then.
    if (document.activeElement === document.body || isOther && document.activeElement?.closest("nav")) main.focus({ preventScroll: true });
    await (name && view.one ? view.one : view.list)({ root, name, query: new URLSearchParams(query), signal, again: go });
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Refused && error.wantsToken) isRefused = true;
    show(main, refused(error));
  }
}

/** A part of an address, which anybody may have written. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The token was replaced, or has run out: what is shown ends. @param {unknown} error */
function refuse(error) {
  if (isRefused || !caller()) return;
  isRefused = true;
  shown.abort();
  setCaller(null);
  place = "";
  show(byId("main"), refused(error));
}

/**
 * Asks the clock who reads this page.
 *
 * @param {AbortSignal} signal
 */
async function meet(signal) {
  setCaller(await read("v1/caller", { signal }));
  const known = caller();
  const button = byId("caller");
  button.textContent = known?.has_token ? `${known.owner} · ${known.role}` : known?.role === "read" ? "read only" : `no token · ${known?.role}`;
  button.title = known?.has_token ? "Who reads this page, and may do what; press to sign out" : "Press to give a token";
}

/** @param {unknown} error */
function refused(error) {
  const wants = error instanceof Refused && error.wantsToken;
  const button = wants
    ? h("button", { type: "button", class: "main", onclick: () => void enter() }, "Give a token")
    : h("button", { type: "button", class: "main", onclick: () => void go() }, "Try again");
  return h("section", { class: "panel refused" }, h("h1", {}, wants ? "This clock wants a token" : "This can't be shown"), h("p", {}, words(error)), button);
}

/** Asks for a token, or forgets the one that there is. */
async function enter() {
  if (!(await signIn())) return;
  setCaller(null);
  isRefused = false;
  byId("caller").textContent = "no token";
  place = "";
  await go();
}

function frame() {
  show(byId("views"), Object.entries(VIEWS).map(([key, { title }]) => h("a", { href: `#/${key}`, "data-view": key, hidden: key === "cluster" }, title)));
  const zone = byId("zone");
  const name = () => (zone.textContent = isUtc() ? "UTC" : "local time");
  name();
  zone.addEventListener("click", () => {
    showUtc(!isUtc());
    name();
    void go();
  });
  byId("caller").addEventListener("click", () => void enter());
  keys(Object.keys(VIEWS));
  setInterval(countDown, 1_000);
  setInterval(() => void (document.hidden || isRefused || health().catch(() => {})), HEALTH);
  refusals.addEventListener("refused", (event) => event instanceof CustomEvent && refuse(event.detail));
  window.addEventListener("hashchange", () => void go());
  window.addEventListener("unhandledrejection", (event) => {
    if (event.reason?.name !== "AbortError") notice(words(event.reason), "bad");
  });
  void go();
}

frame();

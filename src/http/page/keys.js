/** What the keyboard does beside what browsers have it do. */

import { byId, h } from "./dom.js";

/** Whether keys without a modifier do anything: who speaks to the browser, or types by chance, may not want that (WCAG 2.1.4). */
const KEY = "khronos-keys";
/** Of views there are more than digits. @type {Record<string, string>} */
const LETTERS = { w: "why", c: "coverage" };

/**
 * Listens to keys: a digit shows a view, `/` goes to the filter, `j` and `k` go through rows, `?` tells of all that.
 *
 * @param {string[]} views in their order
 */
export function keys(views) {
  byId("help").addEventListener("click", () => help(views));
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.key === "Escape" && isOn(event) && isField(target)) target.blur();
    if (!listens(event)) return;
    const view = views[Number(event.key) - 1] ?? LETTERS[event.key];
    if (view) location.hash = `#/${view}`;
    else if (event.key === "/") focus(document.querySelector("form.filter input"));
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "?") help(views);
    else return;
    event.preventDefault();
  });
}

/** Whether a key is meant for the view that is shown. @param {KeyboardEvent} event */
export function listens(event) {
  return isOn(event) && !isField(event.target);
}

/** @param {KeyboardEvent} event */
function isOn(event) {
  return !event.ctrlKey && !event.metaKey && !event.altKey && localStorage.getItem(KEY) !== "off" && !document.querySelector("dialog[open]");
}

/** @param {EventTarget | null} target @returns {target is HTMLInputElement | HTMLSelectElement} */
function isField(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
}

/** @param {Element | null | undefined} element */
function focus(element) {
  if (element instanceof HTMLElement) element.focus();
}

/**
 * To the link of another row.
 *
 * @param {1 | -1} by
 */
function step(by) {
  const links = [...document.querySelectorAll("main tbody tr a:first-of-type, main .lane a, main .tree summary")];
  const at = links.findIndex((link) => link === document.activeElement);
  focus(links[at < 0 ? 0 : Math.min(Math.max(at + by, 0), links.length - 1)]);
}

/** @param {string[]} views */
function help(views) {
  const all = [...views.map((view, at) => [Object.entries(LETTERS).find(([, name]) => name === view)?.[0] ?? String(at + 1), `shows ${view}`]), ["/", "goes to the filter"], ["j, k", "go down and up the rows"], ["Enter", "opens a row"], ["Esc", "closes a question, leaves the filter"], ["← →", "timeline: earlier, later"], ["+ −", "timeline: less at once, more at once"], ["n, p", "timeline: the next thing, the one before"], ["0", "timeline: now"]];
  const on = h("input", { type: "checkbox", id: "keys-on", checked: localStorage.getItem(KEY) !== "off" });
  on.addEventListener("change", () => localStorage.setItem(KEY, on.checked ? "on" : "off"));
  const choice = h("p", {}, on, " ", h("label", { for: on.id }, "Listen to these keys"));
  const close = h("button", { type: "button", class: "main" }, "Close");
  const list = h("dl", { class: "keys" }, all.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what))));
  const dialog = h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys"), list, choice, h("div", { class: "buttons" }, close));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * Elements, made from plain values. Text never becomes markup: there is no `innerHTML` anywhere on this page.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {(event: any) => void} Listener */

const SVG = "http://www.w3.org/2000/svg";

/** What elements do, by the name of the event: so that one that stays can take over what another one does. @type {WeakMap<Element, Map<string, Listener>>} */
const listeners = new WeakMap();
/** For which events elements look there. @type {WeakMap<Element, Set<string>>} */
const bound = new WeakMap();

/**
 * An element. Keys of `attributes` that begin with `on` are listeners; `true` and `false` set an attribute, or leave it out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null | undefined | Listener>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") listen(element, name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...shown(children));
  return element;
}

/**
 * An element of a drawing.
 *
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
export function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * @param {Element} element
 * @param {string} event
 * @param {Listener} does
 */
function listen(element, event, does) {
  const all = listeners.get(element) ?? new Map();
  listeners.set(element, all.set(event, does));
  const events = bound.get(element) ?? new Set();
  bound.set(element, events);
  if (events.has(event)) return;
  events.add(event);
  element.addEventListener(event, (happened) => listeners.get(element)?.get(event)?.(happened));
}

/**
 * Has an element do what another one does, and nothing else.
 *
 * @param {Element} element
 * @param {Element} other
 */
export function listenAs(element, other) {
  listeners.delete(element);
  for (const [event, does] of listeners.get(other) ?? []) listen(element, event, does);
}

/**
 * Has an element show these, and nothing else.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function show(element, ...children) {
  element.replaceChildren(...shown(children));
}

/**
 * The element of this id in the document, which has it.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the document has no #${id}`);
  return element;
}

/**
 * A table with a caption for readers of screens.
 *
 * @param {string} caption
 * @param {string[]} heads
 * @param {HTMLTableRowElement[]} rows
 * @param {string} none what is said where there are no rows
 */
export function table(caption, heads, rows, none) {
  if (rows.length === 0) return h("p", { class: "quiet none" }, none);
  const head = h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)));
  const rest = h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, rows));
  for (const row of rows) {
    // On narrow screens a row is a card, and each cell says what it is.
    [...row.cells].forEach((cell, at) => cell.setAttribute("data-head", heads[at] ?? ""));
  }
  return h("div", { class: "wide" }, rest);
}

/**
 * A row of these cells; one that is an element of a cell is taken as it is.
 *
 * @param {(Child | Child[])[]} cells
 * @param {Record<string, string>} [attributes]
 */
export function row(cells, attributes = {}) {
  return h("tr", attributes, cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : h("td", {}, cell))));
}

/**
 * Names with what they are.
 *
 * @param {[string, Child | Child[]][]} entries those without a value are left out
 */
export function facts(entries) {
  const known = entries.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "");
  return h("dl", { class: "facts" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/**
 * A part of a view under a heading, with what may be done about it beside it.
 *
 * @param {string} title
 * @param {Child | Child[]} content
 * @param {Child | Child[]} [beside]
 */
export function panel(title, content, beside = null) {
  return h("section", { class: "panel" }, h("div", { class: "title" }, h("h2", {}, title), h("div", { class: "beside" }, beside)), content);
}

/**
 * A word that stands out: `good`, `busy`, `bad` or `still`.
 *
 * @param {string} word
 * @param {"good" | "busy" | "bad" | "still"} mood
 */
export function pill(word, mood) {
  return h("span", { class: `pill ${mood}` }, word);
}

/**
 * Calls `call` when nothing was asked of it for a moment.
 *
 * @param {() => void} call
 * @param {number} milliseconds
 */
export function calm(call, milliseconds) {
  /** @type {number | undefined} */
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}

/** @param {(Child | Child[])[]} children */
function shown(children) {
  return children.flat().flatMap((child) => {
    if (child === null || child === undefined || child === false) return [];
    return [child instanceof Node ? child : String(child)];
  });
}

/**
 * Something that is shown again and again: it is changed to what it is to be, instead of being replaced. So it keeps the focus, what
 * is chosen in it and where it is scrolled, and is not read out anew.
 */

import { h, listenAs, show } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * Has an element show these, and nothing else. A child with a `data-key` is the one that had that key, wherever it was; another one is
 * what was at its place, if that is of its kind.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function renew(element, ...children) {
  const had = document.activeElement;
  const next = h("div");
  show(next, ...children);
  adopt(element, next);
  // What had to be put elsewhere has lost it.
  if (had instanceof HTMLElement && had !== document.activeElement && element.contains(had)) had.focus({ preventScroll: true });
}

/**
 * @param {Element} old
 * @param {Element} next whose children it is to have
 */
function adopt(old, next) {
  const wanted = [...next.childNodes];
  const keys = new Set(wanted.map(key));
  for (const child of [...old.childNodes]) if (key(child) !== null && !keys.has(key(child))) child.remove();
  const known = new Map([...old.childNodes].map((child) => [key(child), child]));
  wanted.forEach((child, at) => {
    const here = old.childNodes[at] ?? null;
    const found = key(child) === null ? here : known.get(key(child));
    const isAlike = found?.nodeName === child.nodeName && key(found) === key(child);
    const kept = isAlike ? found : child;
    if (kept !== here) old.insertBefore(kept, here);
    if (kept === child) return;
    if (kept instanceof Element && child instanceof Element) become(kept, child);
    else if (kept.nodeValue !== child.nodeValue) kept.nodeValue = child.nodeValue;
  });
  while (old.childNodes.length > wanted.length) old.lastChild?.remove();
}

/** @param {Node} node */
function key(node) {
  return node instanceof HTMLElement ? (node.dataset.key ?? null) : null;
}

/** @param {Element} old @param {Element} next */
function become(old, next) {
  // What somebody has opened stays open.
  const isHis = (/** @type {string} */ name) => name === "open" && old instanceof HTMLDetailsElement;
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && !isHis(name)) old.removeAttribute(name);
  for (const { name, value } of [...next.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  listenAs(old, next);
  adopt(old, next);
}

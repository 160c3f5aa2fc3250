/**
 * Instants and lengths of time, as they are read. What is counted down goes by the clock's time, not by the browser's.
 */

import { h } from "./dom.js";

const KEY = "khronos-zone";
/** How far the clock's time is ahead of the browser's, in ms. */
let ahead = 0;
/** Elements that are told how far away their instant is, each second. @type {Set<{ element: HTMLElement, at: number }>} */
const counted = new Set();

/**
 * Takes the clock's time over.
 *
 * @param {string} now
 */
export function setClockTime(now) {
  ahead = Date.parse(now) - Date.now();
}

/** The clock's time, in ms. */
export function clockTime() {
  return Date.now() + ahead;
}

export function isUtc() {
  return localStorage.getItem(KEY) !== "local";
}

/** @param {boolean} utc */
export function showUtc(utc) {
  localStorage.setItem(KEY, utc ? "utc" : "local");
}

/**
 * `2026-12-01 09:00:00.250`, in the zone that is chosen.
 *
 * @param {string | number} instant
 * @param {boolean} [fine] with milliseconds
 */
export function written(instant, fine = false) {
  const at = new Date(instant);
  const shift = isUtc() ? 0 : at.getTimezoneOffset() * 60_000;
  const text = new Date(at.getTime() - shift).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, fine ? 23 : 19)}`;
}

/**
 * An instant; its other forms are in its title.
 *
 * @param {string | null | undefined} instant
 * @param {boolean} [fine]
 */
export function moment(instant, fine = false) {
  if (!instant) return h("span", { class: "quiet" }, "never");
  const text = written(instant, fine);
  // The day is said where it is another one.
  const short = text.slice(0, 10) === written(clockTime()).slice(0, 10) ? text.slice(11) : text;
  return h("time", { datetime: instant, title: `${instant} (UTC)` }, short);
}

/**
 * How far away an instant is, told anew each second as long as it is shown.
 *
 * @param {string | null | undefined} instant
 */
export function countdown(instant) {
  const element = h("span", { class: "countdown" });
  if (!instant) return element;
  const entry = { element, at: Date.parse(instant) };
  element.textContent = away(entry.at - clockTime());
  element.title = `${instant} (UTC)`;
  counted.add(entry);
  return element;
}

/** Tells all countdowns anew; those that are not shown any more are forgotten. */
export function countDown() {
  for (const entry of counted) {
    if (entry.element.isConnected) entry.element.textContent = away(entry.at - clockTime());
    else counted.delete(entry);
  }
}

/**
 * `in 2 min 05 s`, `3 h 12 min ago`.
 *
 * @param {number} milliseconds
 */
function away(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds === 0) return "now";
  return seconds > 0 ? `in ${lasting(seconds * 1000)}` : `${lasting(-seconds * 1000)} ago`;
}

/**
 * A length of time in its two largest units, on one line: `250 ms`, `5 s`, `2 min 05 s`, `3 d 4 h`.
 *
 * @param {number} milliseconds
 */
export function lasting(milliseconds) {
  const length = Math.abs(Math.round(milliseconds));
  const sign = milliseconds < 0 ? "−" : "";
  if (length < 1000) return `${sign}${length}\u00a0ms`;
  const seconds = Math.floor(length / 1000);
  if (length < 10_000 && length % 1000) return `${sign}${(length / 1000).toFixed(1)}\u00a0s`;
  if (seconds < 60) return `${sign}${seconds}\u00a0s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${sign}${minutes}\u00a0min\u00a0${two(seconds % 60)}\u00a0s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${sign}${hours}\u00a0h\u00a0${two(minutes % 60)}\u00a0min`;
  return `${sign}${Math.floor(hours / 24)}\u00a0d\u00a0${hours % 24}\u00a0h`;
}

/**
 * A number with its thousands apart.
 *
 * @param {number} count
 */
export function number(count) {
  return count.toLocaleString("en").replaceAll(",", "\u202f");
}

/**
 * `1 event`, `2 events`.
 *
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function several(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/**
 * Does something again and again until the signal: not while the page is hidden or a question is open, and never twice at once.
 *
 * @param {() => Promise<unknown>} call what it throws, it has told already
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
export function regularly(call, milliseconds, signal) {
  let runs = false;
  const timer = setInterval(async () => {
    if (runs || document.hidden || document.querySelector("dialog[open]")) return;
    runs = true;
    await call().catch(() => {});
    runs = false;
  }, milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, "0");
}

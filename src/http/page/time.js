/**
 * Instants and lengths of time, as they are read. What is counted down goes by the clock's time, not by the browser's.
 */

import { h } from "./dom.js";

const KEY = "khronos-zone";
/** How far the clock's time is ahead of the browser's, in ms. */
let ahead = 0;
/** The day by which instants were last written. */
let day = "";

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
 * `2026-12-01 09:00:00.250`, in the zone that is chosen; behind it how far that is from UTC, if it is not that.
 *
 * @param {string | number} instant
 * @param {boolean} [fine] with milliseconds
 */
export function written(instant, fine = false) {
  const at = new Date(instant);
  const shift = isUtc() ? 0 : at.getTimezoneOffset();
  const text = new Date(at.getTime() - shift * 60_000).toISOString();
  // An hour that comes twice is told apart by it.
  const zone = isUtc() ? "" : ` ${shift > 0 ? "−" : "+"}${two(Math.floor(Math.abs(shift) / 60))}:${two(Math.abs(shift) % 60)}`;
  return `${text.slice(0, 10)} ${text.slice(11, fine ? 23 : 19)}${zone}`;
}

/**
 * An instant; its other forms are in its title.
 *
 * @param {string | null | undefined} instant
 * @param {boolean} [fine]
 */
export function moment(instant, fine = false) {
  if (!instant) return h("span", { class: "quiet" }, "never");
  return h("time", { datetime: instant, title: `${instant} (UTC)`, "data-fine": fine }, short(instant, fine));
}

/** Without the day, where that is today. @param {string} instant @param {boolean} fine */
function short(instant, fine) {
  const text = written(instant, fine);
  return text.slice(0, 10) === today() ? text.slice(11) : text;
}

function today() {
  return written(clockTime()).slice(0, 10);
}

/**
 * How far away an instant is, told anew each second as long as it is shown.
 *
 * @param {string | null | undefined} instant
 */
export function countdown(instant) {
  if (!instant) return h("span", { class: "countdown" });
  return h("span", { class: "countdown", "data-at": instant, title: `${instant} (UTC)` }, away(Date.parse(instant) - clockTime()));
}

/** Tells all countdowns anew; and all instants, where another day has begun. */
export function countDown() {
  for (const element of document.querySelectorAll(".countdown[data-at]")) {
    const at = element instanceof HTMLElement ? element.dataset.at : undefined;
    if (at) tell(element, away(Date.parse(at) - clockTime()));
  }
  if (day === today()) return;
  day = today();
  for (const element of document.querySelectorAll("time")) tell(element, short(element.dateTime, "fine" in element.dataset));
}

/** Touches nothing that stays: somebody may have chosen it. @param {Element} element @param {string} text */
function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
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

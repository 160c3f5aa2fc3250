/** The axis of a timeline: how long it is, and how its instants read on the clocks of a zone. */

/** How much is shown at once: the word in the address, what it is called, and its length in ms. @type {[string, string, number][]} */
export const SPANS = [
  ["1m", "1 min", 60_000],
  ["5m", "5 min", 300_000],
  ["15m", "15 min", 900_000],
  ["1h", "1 h", 3_600_000],
  ["6h", "6 h", 21_600_000],
  ["1d", "a day", 86_400_000],
  ["1w", "a week", 604_800_000],
  ["1M", "a month", 2_592_000_000],
];

/** How far apart marks may lie, in ms. */
const STEPS = [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800].map((seconds) => seconds * 1000);
const [SECOND, MINUTE, DAY] = [1_000, 60_000, 86_400_000];
const UTC = "UTC";

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** The zone of this browser, by its IANA name. */
export function here() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || UTC;
}

/** Whether this browser knows the zone. @param {string} zone */
export function isZone(zone) {
  try {
    return Boolean(format(zone));
  } catch {
    return false;
  }
}

/** @param {string} zone */
function format(zone) {
  const known = formats.get(zone) ?? new Intl.DateTimeFormat("en-US", {
    timeZone: zone, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23",
    year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
  });
  formats.set(zone, known);
  return known;
}

/**
 * What the clocks of a zone show, as if it were UTC's, in ms.
 *
 * @param {string} zone
 * @param {number} at in ms
 */
function wall(zone, at) {
  if (zone === UTC) return at;
  const whole = Math.floor(at / SECOND) * SECOND;
  const parts = Object.fromEntries(format(zone).formatToParts(whole).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) + at - whole;
}

/**
 * When the clocks of a zone show this; of a time that comes twice the first, and near one that does not come.
 *
 * @param {string} zone
 * @param {number} shown
 */
function instant(zone, shown) {
  const guesses = [shown - DAY, shown + DAY].map((near) => shown - (wall(zone, near) - near));
  return guesses.find((guess) => wall(zone, guess) === shown) ?? guesses[0] ?? shown;
}

/**
 * Marks at whole minutes, hours or days of a zone, at most so many.
 *
 * @param {string} zone
 * @param {number} from in ms
 * @param {number} to in ms
 * @param {number} most
 * @returns {{ at: number, label: string }[]}
 */
export function marks(zone, from, to, most) {
  const step = STEPS.find((step) => (to - from) / step <= most) ?? 2 * 604_800_000;
  const found = [];
  const last = wall(zone, to) + step;
  for (let shown = Math.floor(wall(zone, from) / step) * step; shown <= last; shown += step) {
    const at = instant(zone, shown);
    if (at >= from && at < to && at > (found.at(-1)?.at ?? -Infinity)) found.push({ at, label: label(shown, step) });
  }
  return found;
}

/** @param {number} shown @param {number} step */
function label(shown, step) {
  const text = new Date(shown).toISOString();
  if (shown % DAY === 0 || step >= DAY) return text.slice(5, 10);
  return step < MINUTE ? text.slice(11, 19) : text.slice(11, 16);
}

/**
 * `2026-12-01 09:00:00`, as the clocks of a zone show it; with milliseconds, where there are some.
 *
 * @param {string} zone
 * @param {number} at
 */
export function read(zone, at) {
  const text = new Date(wall(zone, at)).toISOString().replace("T", " ");
  return text.slice(0, at % SECOND ? 23 : 19);
}

/** The time without the day, where that is another instant's. @param {string} zone @param {number} at @param {number} other */
export function readBeside(zone, at, other) {
  const [text, beside] = [read(zone, at), read(zone, other)];
  return text.slice(0, 10) === beside.slice(0, 10) ? text.slice(11) : text;
}

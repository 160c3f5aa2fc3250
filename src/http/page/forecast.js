/** What is coming within a day, and when most of it. */

import { read } from "./api.js";
import { words } from "./dialog.js";
import { facts, h, panel, row, show, svg, table } from "./dom.js";
import { countdown, lasting, moment, number, written } from "./time.js";

/** The chart's own units. */
const [WIDTH, HEIGHT] = [960, 160];

/** How far ahead, in hours. @type {[string, string][]} */
const CHOICES = [["1", "an hour"], ["6", "6 hours"], ["24", "a day"]];

/** @typedef {{ at: string, occurrences: number }} Load */
/** @typedef {{ from: string, through: string, schedules: number, occurrences: number, row_seconds: number, rows: Load[], busiest: Load[] }} Forecast */

/** @param {import("./app.js").View} view */
export async function forecast({ root, query, signal }) {
  const hours = CHOICES.map(([value]) => value).find((value) => value === query.get("hours")) ?? "24";
  const choices = CHOICES.map(([value, label]) => {
    return h("a", { href: `#/forecast?hours=${value}`, "aria-current": value === hours ? "true" : null, class: "choice" }, label);
  });
  const list = h("div", { class: "view", "aria-busy": "true" });
  show(root, h("div", { class: "title" }, h("h1", {}, "Forecast"), h("nav", { class: "beside", "aria-label": "How far ahead" }, choices)), list);
  try {
    show(list, ...shown(await read("v1/forecast", { query: { hours }, signal }), Number(hours)));
  } catch (error) {
    if (signal.aborted) return;
    show(list, panel("What is coming", h("p", { class: "wrong" }, words(error))));
  }
  list.setAttribute("aria-busy", "false");
}

/**
 * @param {Forecast} coming
 * @param {number} hours
 */
function shown(coming, hours) {
  const rows = coming.busiest.map((one) => row([[moment(one.at), " ", countdown(one.at)], number(one.occurrences)]));
  const about = facts([
    ["Schedules", number(coming.schedules)],
    ["Occurrences", number(coming.occurrences)],
    ["A second", `${(coming.occurrences / (hours * 3600)).toFixed(2)} on average; ${number(coming.busiest[0]?.occurrences ?? 0)} at most`],
  ]);
  return [panel("What is coming", [about, chart(coming)]), panel("The busiest seconds", table("The busiest seconds", ["When", "Occurrences"], rows, "Nothing is due."))];
}

/**
 * Bars, one for each span of time.
 *
 * @param {Forecast} coming
 */
function chart({ rows, row_seconds: seconds }) {
  const most = Math.max(1, ...rows.map((one) => one.occurrences));
  const width = WIDTH / rows.length;
  const bars = rows.map((one, at) => {
    const high = (one.occurrences / most) * HEIGHT;
    const bar = svg("rect", { x: at * width + 1, y: HEIGHT - high, width: Math.max(width - 2, 1), height: high });
    const title = svg("title", {});
    title.textContent = `${written(one.at)}: ${number(one.occurrences)}`;
    bar.append(title);
    return bar;
  });
  const label = `Occurrences by ${lasting(seconds * 1000)}, ${number(most)} at most`;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "chart" });
  drawing.append(...bars);
  const [first, middle, last] = [rows[0], rows[Math.floor(rows.length / 2)], rows.at(-1)].map((one) => (one ? moment(one.at) : null));
  return h("figure", {}, drawing, h("div", { class: "axis" }, first, middle, last), h("figcaption", { class: "quiet" }, label));
}


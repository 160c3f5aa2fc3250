/**
 * The lanes of a timeline: one for each schedule, drawn as bars in columns of time, and the same in words. A lane holds one path for each
 * thing that may become of a due time, so that fifty lanes are a few hundred elements, however much is in them.
 */

import { h, pill, svg } from "./dom.js";
import { lasting, number } from "./time.js";
import { marks } from "./timeline_axis.js";

/** @typedef {{ column: number, latest_ms?: number, skipped?: Record<string, number> } & Partial<Record<Plain, number>>} Cell */
/** @typedef {"sent" | "late" | "parked" | "dropped" | "waiting" | "coming"} Plain */
/** @typedef {Plain | "skipped"} Fate */
/** @typedef {{ from: string, through: string, outcome: string }} Unknown */
/** @typedef {{ name: string, event: string | null, timing: string, time_zone: string, state: string, uncounted?: boolean, cells: Cell[] }} Lane */
/** @typedef {{ now: string, from: string, to: string, columns: number, column_ms: number, clock_changes: { at: string, before: string, after: string }[], recorded: Cell[], unknown: Unknown[], record: { earlier: string | null, since: string | null, through: string | null }, schedules: Lane[], next: string | null }} Timeline */

/** What may become of a due time, the gravest first: so it stands on top. @type {[Fate, "good" | "busy" | "bad" | "still", string][]} */
export const FATES = [
  ["parked", "bad", "given up on; neither released nor dropped since, as far as the record was looked through"],
  ["dropped", "bad", "parked, and then dropped"],
  ["skipped", "still", "not sent, on purpose"],
  ["late", "busy", "sent more than a second after its time"],
  ["waiting", "busy", "due, and not settled: in flight, caught up with or held back"],
  ["sent", "good", "sent in time"],
  ["coming", "still", "still to come"],
];

/** A lane's own units: a column is 10 wide. */
const [WIDE, HIGH] = [10, 40];
/** Each thing in a column is that high, at least: one that is parked is seen among a thousand that are sent. */
const LEAST = 9;

/** @param {Cell} cell @param {Fate} fate */
export function many(cell, fate) {
  if (fate !== "skipped") return cell[fate] ?? 0;
  return Object.values(cell.skipped ?? {}).reduce((sum, count) => sum + count, 0);
}

/** How grave the gravest is that lies there: 0 is gravest. @param {Cell} cell */
export function gravity(cell) {
  return FATES.findIndex(([fate]) => many(cell, fate) > 0);
}

/** Whether something lies there that was sent. @param {Cell} cell */
export function isSent(cell) {
  return many(cell, "sent") + many(cell, "late") > 0;
}

/** @param {Cell} cell */
function all(cell) {
  return FATES.reduce((sum, [fate]) => sum + many(cell, fate), 0);
}

/**
 * Several columns as one.
 *
 * @param {Cell[]} cells
 * @param {number} column
 */
export function together(cells, column) {
  /** @type {Cell} */
  const sum = { column };
  for (const cell of cells) {
    for (const [fate] of FATES) if (fate !== "skipped" && cell[fate]) sum[fate] = (sum[fate] ?? 0) + (cell[fate] ?? 0);
    if (cell.latest_ms) sum.latest_ms = Math.max(sum.latest_ms ?? 0, cell.latest_ms);
    for (const [reason, count] of Object.entries(cell.skipped ?? {})) {
      sum.skipped ??= {};
      sum.skipped[reason] = (sum.skipped[reason] ?? 0) + count;
    }
  }
  return sum;
}

/**
 * The columns of both, each once.
 *
 * @param {Cell[]} one
 * @param {Cell[]} other
 */
export function joined(one, other) {
  /** @type {Map<number, Cell>} */
  const found = new Map(one.map((cell) => [cell.column, cell]));
  for (const cell of other) {
    const known = found.get(cell.column);
    found.set(cell.column, known ? together([known, cell], cell.column) : cell);
  }
  return [...found.values()].sort((a, b) => a.column - b.column);
}

/** In words, the gravest first: `1 parked`, `2 late (by 3 s at most)`, `3 skipped (missed)`. @param {Cell} cell */
export function parts(cell) {
  return FATES.filter(([fate]) => many(cell, fate)).map(([fate, mood]) => {
    const reasons = Object.entries(cell.skipped ?? {}).map(([reason, count]) => (Object.keys(cell.skipped ?? {}).length > 1 ? `${number(count)} ${reason}` : reason));
    const about = fate === "skipped" ? reasons.join(", ") : fate === "late" && cell.latest_ms ? `by ${lasting(cell.latest_ms)} at most` : "";
    return { text: `${number(many(cell, fate))} ${fate}`, about, mood };
  });
}

/** @param {Cell} cell */
export function words(cell) {
  return parts(cell).map(({ text, about }) => (about ? `${text} (${about})` : text)).join(", ");
}

/** @param {Cell} cell */
export function pills(cell) {
  return h("span", { class: "pills" }, parts(cell).map(({ text, about, mood }) => h("span", {}, pill(text, mood), about ? h("small", {}, ` ${about}`) : null)));
}

/**
 * Where things lie that all lanes show alike.
 *
 * @param {Timeline} shown
 * @param {string} zone
 * @param {number | null} chosen the column that is chosen
 * @param {number} most marks at most
 */
export function frame(shown, zone, chosen, most) {
  const [from, to] = [Date.parse(shown.from), Date.parse(shown.to)];
  const place = (/** @type {number} */ at) => (at - from) / shown.column_ms;
  const within = (/** @type {number} */ at) => Math.min(Math.max(at, from), to);
  const spans = shown.unknown.map((one) => [within(Date.parse(one.from)), within(Date.parse(one.through) + 1)]);
  // Of what was due then, some may have been decided before.
  const since = shown.record.since ? Date.parse(shown.record.since) : from;
  if (since > from) spans.push([from, within(since)]);
  return {
    columns: shown.columns,
    width: place(to),
    now: place(Date.parse(shown.now)),
    marks: marks(zone, from, to, most).map(({ at, label }) => ({ at: place(at), label })),
    changes: shown.clock_changes.map((change) => ({ at: place(Date.parse(change.at)), label: `${change.before} → ${change.after}` })),
    unknown: spans.filter(([start = 0, end = 0]) => end > start).map(([start = 0, end = 0]) => ({ at: place(start), width: place(end) - place(start) })),
    chosen,
  };
}

/** @typedef {ReturnType<typeof frame>} Frame */

/**
 * The bars of a lane.
 *
 * @param {Cell[]} cells
 * @param {Frame} frame
 * @param {string} label what it shows, in words
 */
export function strip(cells, frame, label) {
  const width = frame.width * WIDE;
  const most = Math.log1p(Math.max(1, ...cells.map(all)));
  /** @type {Map<Fate, string[]>} */
  const paths = new Map();
  for (const cell of cells) {
    const there = FATES.filter(([fate]) => many(cell, fate));
    const total = all(cell);
    const high = Math.max(HIGH * (0.4 + 0.6 * (Math.log1p(total) / most)), there.length * LEAST);
    const rest = high - there.length * LEAST;
    let top = HIGH - Math.min(high, HIGH);
    for (const [fate] of there) {
      const part = Math.min(LEAST + rest * (many(cell, fate) / total), HIGH);
      const path = paths.get(fate) ?? [];
      paths.set(fate, path);
      path.push(`M${cell.column * WIDE + 0.5} ${top.toFixed(1)}h${WIDE - 1}v${part.toFixed(1)}h${1 - WIDE}z`);
      top += part;
    }
  }
  const line = (/** @type {string} */ kind, /** @type {number[]} */ places) => svg("path", { class: kind, d: places.map((at) => `M${(at * WIDE).toFixed(2)} 0v${HIGH}`).join("") });
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "strip" });
  drawing.append(
    ...frame.unknown.map(({ at, width }) => svg("rect", { class: "unknown", x: at * WIDE, y: 0, width: width * WIDE, height: HIGH })),
    line("mark", frame.marks.map(({ at }) => at)),
    ...[...paths].map(([fate, path]) => svg("path", { class: fate, d: path.join("") })),
    line("change", frame.changes.map(({ at }) => at)),
    line("now", frame.now >= 0 && frame.now <= frame.width ? [frame.now] : []),
    svg("rect", { class: "chosen", x: (frame.chosen ?? 0) * WIDE, y: 0, width: frame.chosen === null ? 0 : WIDE, height: HIGH }),
  );
  return drawing;
}

/** Moves what is chosen, in all lanes. @param {Element} lanes @param {number | null} column */
export function choose(lanes, column) {
  for (const rect of lanes.querySelectorAll("rect.chosen")) {
    rect.setAttribute("x", String((column ?? 0) * WIDE));
    rect.setAttribute("width", String(column === null ? 0 : WIDE));
  }
}

/**
 * What is written above the lanes, or below them.
 *
 * @param {Frame} frame
 */
export function axis(frame) {
  const share = (/** @type {number} */ at) => `${((at / frame.width) * 100).toFixed(3)}%`;
  const text = (/** @type {number} */ at, /** @type {string} */ label, /** @type {string} */ kind, /** @type {number} */ y) => {
    const beside = at / frame.width;
    // What is written of a change keeps away from now.
    const isEarly = kind === "change" ? beside < 0.7 && (at > frame.now || beside < 0.3) : beside < 0.06;
    const anchor = isEarly ? "start" : kind === "change" || beside > 0.94 ? "end" : "middle";
    const element = svg("text", { x: share(at), y, "text-anchor": anchor, class: kind });
    element.textContent = label;
    return element;
  };
  const drawing = svg("svg", { class: "ticks", "aria-hidden": "true" });
  drawing.append(
    ...frame.marks.map(({ at, label }) => text(at, label, "mark", 30)),
    ...frame.changes.map(({ at, label }) => text(at, label, "change", 13)),
    ...(frame.now >= 0 && frame.now <= frame.width ? [text(frame.now, "now", "now", 13)] : []),
  );
  return h("div", { class: "lane axis-lane" }, h("span", {}), drawing);
}

/** What the colours mean. */
export function legend() {
  const one = (/** @type {string} */ kind, /** @type {string} */ word, /** @type {string} */ title) => {
    const swatch = svg("svg", { viewBox: "0 0 10 10", class: "strip swatch", "aria-hidden": "true" });
    swatch.append(svg("rect", { class: kind, width: 10, height: 10 }));
    return h("li", { title }, swatch, word);
  };
  const fates = [...FATES].reverse().map(([fate, , title]) => one(fate, fate, title));
  return h("ul", { class: "legend", "aria-label": "Colours" }, fates, one("unknown", "not known", "the record does not say it, or was not looked through so far"));
}

/**
 * All schedules on one axis: what became of what was due, and what is coming. The clock counts by columns of time; the browser holds one
 * page of schedules, and one window of time.
 */

import { read } from "./api.js";
import { byId, calm, facts, h, panel, row, show, table } from "./dom.js";
import { words as problem } from "./dialog.js";
import { listens } from "./keys.js";
import { renew } from "./renew.js";
import { ROWS, filterForm, search, state } from "./schedules.js";
import { clockTime, isUtc, number, regularly, several } from "./time.js";
import { SPANS, here, isZone, read as clock, readBeside } from "./timeline_axis.js";
import { handled } from "./timeline_handled.js";
import { axis, choose, FATES, frame, gravity, isSent, joined, legend, many, pills, strip, together, words } from "./timeline_lanes.js";

/** @typedef {import("./timeline_lanes.js").Timeline} Timeline */
/** @typedef {import("./timeline_lanes.js").Cell} Cell */
/** @typedef {{ wanted: Record<string, string | number>, until: AbortSignal, isReading: boolean, wrong: string | null }} Looked */

/** Columns of a window: so many as can be told apart, on a wide screen and on a narrow one. */
const [COLUMNS, FEW_COLUMNS] = [120, 60];
/** How often what goes on is read again, in ms. */
const EVERY = 5_000;
/** How often the record is read on before a person is asked. Each time the clock looks through twenty thousand rows. */
const TRIES = 10;
/** What is shown first: `1h`. */
const FIRST = 3;

/** @param {import("./app.js").View} view */
export async function timeline({ root, query, signal }) {
  const filter = filterForm(query);
  let span = Math.max(SPANS.findIndex(([word]) => word === query.get("span")), -1);
  if (span < 0) span = FIRST;
  /** The middle of the window; none: it goes with the time. @type {number | null} */
  let middle = Date.parse(query.get("at") ?? "") || null;
  // Of other centuries there are no records and no dates that can be written.
  if (middle !== null && Math.abs(middle) > 4e12) middle = null;
  const asked = query.get("zone") ?? "";
  let zone = isZone(asked) && asked ? asked : isUtc() ? "UTC" : here();
  /** The instant at which the column begins that is chosen. @type {number | null} */
  let chosen = null;
  /** @type {Timeline | null} */
  let shown = null;
  /** Where the pages before this one begin. @type {string[]} */
  let before = [];
  let page = "";
  /** A long record, or a filter that passes little, is read again when a person asks. */
  let isDear = false;
  let last = new AbortController();
  /** How what is shown was asked for: set with it, so that nothing of another window is added. @type {Looked | null} */
  let looked = null;

  const [chart, detail, more] = [h("section", { class: "panel lanes", "aria-busy": "true" }), h("div", { class: "detail" }), h("div")];
  /** What lies in the column that is chosen; and, where somebody asks for it, who handled that. */
  const [there, by] = [h("div"), h("div")];
  detail.append(there, by);
  let asking = new AbortController();
  // For readers of screens: what is shown, when it is something else.
  const said = h("p", { class: "unseen", role: "status" });
  const zones = h("select", { id: "timeline-zone", title: "Whose clocks the axis goes by, and whose changes it marks" });
  const length = () => SPANS[span]?.[2] ?? 3_600_000;
  const narrow = () => window.matchMedia("(max-width: 760px)").matches;
  const spans = SPANS.map(([word, name], at) => h("button", { type: "button", class: "choice", "data-key": word, onclick: () => zoom(at) }, name));
  /** @param {string} word @param {string} title @param {() => void} does */
  const button = (word, title, does) => h("button", { type: "button", title, onclick: does }, word);
  const steps = h("div", { class: "beside", role: "group", "aria-label": "Where to look" },
    button("←", "Earlier (←)", () => pan(-0.5)), button("Now", "Now (0)", () => now()), button("→", "Later (→)", () => pan(0.5)),
    button("Previous", "The column before in which there is something (p)", () => step(-1)), button("Next", "The next column in which there is something (n)", () => step(1)));
  show(
    root,
    h("div", { class: "title" }, h("h1", {}, "Timeline"), h("nav", { class: "beside spans", "aria-label": "How much at once" }, spans)),
    filter.element,
    h("div", { class: "title" }, steps, h("div", { class: "beside" }, h("label", { for: zones.id, class: "quiet" }, "Clocks of"), zones)),
    said, chart, detail, more,
  );

  /** Where the window begins: with a whole column, so that it does not flicker as time goes on. */
  const begin = () => {
    const column = length() / (narrow() ? FEW_COLUMNS : COLUMNS);
    return Math.floor(((middle ?? clockTime()) - length() / 2) / column) * column;
  };
  const ask = () => {
    const from = begin();
    const instants = { from: new Date(from).toISOString(), to: new Date(from + length()).toISOString() };
    return { ...filter.values(), ...instants, columns: narrow() ? FEW_COLUMNS : COLUMNS, time_zone: zone };
  };
  const place = () => {
    const isUsual = zone === (isUtc() ? "UTC" : here());
    const where = { ...filter.values(), span: SPANS[span]?.[0] ?? "", ...(middle === null ? {} : { at: new Date(middle).toISOString() }), ...(isUsual ? {} : { zone }) };
    history.replaceState(null, "", `#/timeline?${new URLSearchParams(where)}`);
    spans.forEach((one, at) => one.setAttribute("aria-pressed", String(at === span)));
    // On narrow screens they are more than fit.
    spans[span]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  const look = async (isQuiet = false) => {
    last.abort();
    const { signal: mine } = (last = new AbortController());
    const until = AbortSignal.any([signal, mine]);
    if (!isQuiet) chart.setAttribute("aria-busy", "true");
    try {
      const [wanted, passes] = [ask(), filter.values()];
      // Where a filter passes little, the record is read once the page is found that has something.
      const there = Object.keys(passes).length ? await search("v1/schedules", passes, page, until) : { page, looked: 1 };
      /** @type {Timeline} */
      const found = await read("v1/timeline", { query: { ...wanted, limit: ROWS, page: there.page }, signal: until });
      isDear = there.looked > 1 || found.record.earlier !== null;
      shown = found;
      looked = { wanted: { ...wanted, page: there.page, limit: found.schedules.length || 1 }, until, isReading: false, wrong: null };
      draw(isQuiet);
      if (!isQuiet) tell();
      chart.setAttribute("aria-busy", "false");
      await further();
    } catch (error) {
      if (until.aborted) return;
      chart.setAttribute("aria-busy", "false");
      [shown, looked] = [null, null];
      show(chart, h("p", { class: "wrong" }, problem(error)));
      show(there);
      show(more);
    }
  };
  /** Reads on in the record, for a while, and adds what it has: one part after the other, each once. */
  const further = async () => {
    const mine = looked;
    if (!mine || mine.isReading || mine.until.aborted) return;
    [mine.isReading, mine.wrong] = [true, null];
    try {
      await add(mine);
    } catch (error) {
      mine.wrong = problem(error);
    }
    mine.isReading = false;
    if (mine === looked && !mine.until.aborted) draw(true);
  };
  /** @param {Looked} mine */
  const add = async (mine) => {
    for (let tries = 0; tries < TRIES && shown?.record.earlier; tries += 1) {
      const older = await read("v1/timeline", { query: { ...mine.wanted, before: shown.record.earlier }, signal: mine.until });
      if (mine !== looked || !shown) return;
      /** @type {Map<string, Cell[]>} */
      const cells = new Map(older.schedules.map((/** @type {any} */ one) => [one.name, one.cells]));
      const schedules = shown.schedules.map((one) => ({ ...one, cells: joined(one.cells, cells.get(one.name) ?? []) }));
      shown = { ...shown, schedules, recorded: joined(shown.recorded, older.recorded), unknown: [...shown.unknown, ...older.unknown], record: { ...older.record, through: shown.record.through } };
      draw(true);
    }
  };

  const draw = (isQuiet = false) => {
    if (!shown) return;
    const column = at(chosen);
    const places = frame(shown, zone, column, narrow() ? 4 : 10);
    const lane = (/** @type {import("./dom.js").Child} */ name, /** @type {string} */ key, /** @type {Cell[]} */ cells) => {
      const what = words(together(cells, 0)) || "nothing";
      return h("li", { class: "lane", "data-key": key }, h("span", { class: "name" }, name), strip(cells, places, what));
    };
    const schedules = shown.schedules.map((one) => {
      const name = h("a", { href: `#/schedules/${encodeURIComponent(one.name)}`, title: `${one.timing}; ${one.event ?? "not understood"}` }, one.name);
      const beside = [one.state === "active" ? null : state(one), one.uncounted ? h("small", {}, " not all is counted") : null].filter((one) => one !== null);
      return lane(h("span", {}, name, beside.length ? [" ", ...beside] : null), `schedule ${one.name}`, one.cells);
    });
    const none = h("p", { class: "quiet none" }, shown.next ? "None among those that were looked through so far." : page ? "There are no more." : "No schedule passes this filter.");
    const content = [
      axis(places),
      h("ul", { class: "plain" }, lane(h("span", { title: "Of all schedules, also of those that are gone or on other pages" }, "All that is recorded"), "recorded", shown.recorded), schedules),
      shown.schedules.length ? axis(places) : none,
      legend(),
    ];
    if (isQuiet) renew(chart, content);
    else show(chart, content);
    const rest = [notes(shown), sums(shown), pages(shown)];
    if (isQuiet) renew(more, rest);
    else show(more, rest);
    options();
    explain();
  };
  /** The column in which an instant lies that is chosen. @param {number | null} instant */
  const at = (instant) => {
    if (!shown || instant === null) return null;
    const column = Math.floor((instant - Date.parse(shown.from)) / shown.column_ms);
    return column >= 0 && column < shown.columns ? column : null;
  };
  /** @param {Timeline} shown */
  const notes = ({ record }) => {
    const [since, through] = [record.since, record.through].map((instant) => (instant ? clock(zone, Date.parse(instant)) : null));
    const on = h("button", { type: "button", "data-key": "on", disabled: looked?.isReading ?? false, onclick: () => void further() }, "Look further back");
    const said = [
      since ? h("p", { class: "quiet" }, record.earlier ? `The record is long: what was decided before ${since} is not counted yet. ` : `The record begins at ${since}.`, record.earlier ? on : null) : null,
      looked?.wrong ? h("p", { class: "wrong" }, looked.wrong) : null,
      through ? h("p", { class: "quiet" }, `What was decided after ${through} is not counted.`) : null,
    ].filter((note) => note !== null);
    return said.length ? h("div", {}, said) : null;
  };
  /** The same as a table, for who can't see the picture, or wants numbers. @param {Timeline} shown */
  const sums = ({ schedules, recorded }) => {
    const heads = FATES.map(([fate]) => fate).reverse();
    const cells = (/** @type {Cell[]} */ all) => {
      const sum = together(all, 0);
      return heads.map((fate) => (many(sum, fate) ? number(many(sum, fate)) : ""));
    };
    const rows = [row(["All that is recorded", ...cells(recorded)]), ...schedules.map((one) => row([one.name, ...cells(one.cells)]))];
    return h("details", { class: "panel" }, h("summary", {}, "As numbers"), table("Due times of this window", ["Schedule", ...heads], rows, ""));
  };
  /** @param {Timeline} shown */
  const pages = (shown) => {
    const turn = (/** @type {string} */ to) => {
      page = to;
      void look();
      byId("main").focus({ preventScroll: true });
    };
    const back = h("button", { type: "button", disabled: before.length === 0, onclick: () => turn(before.pop() ?? "") }, "← Back");
    const on = h("button", { type: "button", disabled: shown.next === null, onclick: () => (before.push(page), turn(shown.next ?? "")) }, shown.schedules.length ? "More schedules →" : "Look further →");
    return before.length || shown.next ? h("nav", { class: "pages", "aria-label": "Pages" }, back, on) : null;
  };
  /** The zones that there may be a reason to choose. */
  const options = () => {
    const all = [...new Set(["UTC", here(), zone, ...(shown?.schedules ?? []).map((one) => one.time_zone)])].filter(isZone);
    if ([...zones.options].map(({ value }) => value).join() === all.join()) return;
    show(zones, all.map((name) => h("option", { value: name, selected: name === zone }, name)));
  };
  /** What lies in the column that is chosen. */
  const explain = () => {
    const column = at(chosen);
    if (!shown || column === null) {
      asking.abort();
      show(by);
      return show(there);
    }
    const from = Date.parse(shown.from) + column * shown.column_ms;
    const to = Math.min(from + shown.column_ms, Date.parse(shown.to));
    const here = (/** @type {Cell[]} */ cells) => cells.find((cell) => cell.column === column);
    const found = shown.schedules.flatMap((one) => {
      const cell = here(one.cells);
      return cell ? [{ one, cell }] : [];
    });
    found.sort((a, b) => gravity(a.cell) - gravity(b.cell));
    const who = (/** @type {string} */ name) => {
      asking.abort();
      asking = new AbortController();
      void handled(by, name, [from, to], AbortSignal.any([signal, asking.signal]));
    };
    const rows = found.map(({ one, cell }) => {
      const button = isSent(cell) ? h("button", { type: "button", onclick: () => who(one.name) }, "Who handled it") : "";
      return row([h("a", { href: `#/schedules/${encodeURIComponent(one.name)}` }, one.name), pills(cell), one.timing, button], { "data-key": one.name });
    });
    const all = here(shown.recorded);
    const title = `${clock(zone, from)} – ${readBeside(zone, to, from)}`;
    const close = h("button", { type: "button", title: "Close (Esc)", onclick: () => pick(null) }, "Close");
    renew(there, panel(title, [facts([["All recorded", all ? pills(all) : null]]), table("What lies there", ["Schedule", "What", "When", "Handled"], rows, "Nothing of these schedules.")], close));
  };
  /** For who does not see it. */
  const tell = () => {
    if (!shown) return;
    const [from, to] = [Date.parse(shown.from), Date.parse(shown.to)];
    const all = [...shown.schedules.flatMap((one) => one.cells)];
    said.textContent = `${clock(zone, from)} to ${readBeside(zone, to, from)}, ${zone}: ${several(shown.schedules.length, "schedule")}; ${words(together(all, 0)) || "nothing"}`;
  };
  /** @param {number | null} column */
  const pick = (column) => {
    if (!shown) return;
    chosen = column === null ? null : Date.parse(shown.from) + column * shown.column_ms;
    choose(chart, column);
    asking.abort();
    show(by);
    explain();
    if (chosen === null || column === null) return;
    const cells = shown.schedules.flatMap((one) => one.cells.filter((cell) => cell.column === column));
    said.textContent = `${clock(zone, chosen)}: ${words(together(cells, column)) || "nothing"}`;
  };

  const move = () => {
    // It was moved right before another view was shown.
    if (signal.aborted) return;
    place();
    void look();
  };
  /** A key that is held moves the window often, and is one question. */
  const moved = calm(move, 120);
  const pan = (/** @type {number} */ by) => {
    middle = (middle ?? clockTime()) + by * length();
    moved();
  };
  const now = () => {
    middle = null;
    moved();
  };
  const zoom = (/** @type {number} */ to) => {
    if (to < 0 || to >= SPANS.length || to === span) return;
    // What is chosen stays in sight.
    if (at(chosen) !== null) middle = chosen;
    span = to;
    moved();
  };
  /** To the next column in which there is something; where there is none, the window goes on. @param {1 | -1} by */
  const step = (by) => {
    if (!shown) return;
    const there = [...new Set([shown.recorded, ...shown.schedules.map((one) => one.cells)].flat().map(({ column }) => column))].sort((a, b) => a - b);
    const here = at(chosen) ?? Math.floor((clockTime() - Date.parse(shown.from)) / shown.column_ms);
    const next = by > 0 ? there.find((column) => column > here) : there.findLast((column) => column < here);
    if (next === undefined) pan(by);
    else pick(next);
  };

  chart.addEventListener("click", (event) => {
    const lane = event.target instanceof Element ? event.target.closest("svg.strip:not(.swatch)") : null;
    if (!shown || !lane) return;
    const { left, width } = lane.getBoundingClientRect();
    const column = Math.floor(((event.clientX - left) / width) * ((Date.parse(shown.to) - Date.parse(shown.from)) / shown.column_ms));
    pick(Math.min(Math.max(column, 0), shown.columns - 1));
  });
  zones.addEventListener("change", () => {
    zone = zones.value;
    moved();
  });
  const anew = () => {
    [page, before] = ["", []];
    move();
  };
  filter.element.addEventListener("submit", (event) => event.preventDefault());
  filter.element.addEventListener("input", calm(anew, 150));
  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), "+": () => zoom(span - 1), "=": () => zoom(span - 1), "-": () => zoom(span + 1),
    0: () => now(), n: () => step(1), p: () => step(-1), Escape: () => pick(null),
  };
  document.addEventListener("keydown", (event) => {
    const does = listens(event) ? keys[event.key] : undefined;
    if (!does) return;
    does();
    event.preventDefault();
  }, { signal });
  signal.addEventListener("abort", () => last.abort(), { once: true });
  place();
  await look();
  regularly(async () => middle === null && !isDear && !chart.contains(document.activeElement) && look(true), EVERY, signal);
}

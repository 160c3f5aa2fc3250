/** Several clocks on one database: which one leads, since when, and how the others are. */

import { read } from "./api.js";
import { facts, h, panel, pill, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { renew } from "./renew.js";
import { countdown, lasting, moment, regularly } from "./time.js";

/** How often it is asked, in ms. */
const EVERY = 2_000;
/** Whose time differs more from the database's, in ms, is no candidate. */
const SKEW = 250;

/** @typedef {{ id: string, leads: boolean, lives: boolean, address: string | null, version: string, time_zones: string, ahead_ms: number | null, has_broker: boolean, seen_ms_ago: number, probed_ms_ago: number | null, warm: boolean | null, warm_ms_ago: number | null, cold: string | null }} Member */
/** @typedef {{ here: string, replication: string | null, clock: string, leader: string | null, is_led: boolean, term: number, timeline: number, since: string | null, gap_ms: number | null, members: Member[] }} Cluster */

/** @param {import("./app.js").View} view */
export async function cluster({ root, signal }) {
  const list = h("div", { class: "view", "aria-busy": "true" });
  show(root, h("h1", {}, "Cluster"), list);
  const look = async () => {
    try {
      const seen = await read("v1/cluster", { signal });
      renew(list, verdict(seen), panel("How it is led", leading(seen)), panel("Clocks", members(seen)));
    } catch (error) {
      if (signal.aborted) return;
      renew(list, panel("How it is led", h("p", { class: "wrong" }, words(error))));
    }
    list.setAttribute("aria-busy", "false");
  };
  await look();
  regularly(look, EVERY, signal);
}

/**
 * Who leads, and what needs a look.
 *
 * @param {Cluster} cluster
 */
function verdict({ is_led: isLed, leader, members, replication }) {
  const living = members.filter((one) => one.lives);
  const differ = (/** @type {(one: Member) => string} */ of) => new Set(living.map(of)).size > 1;
  const ready = living.filter((one) => !one.leads && one.has_broker && Math.abs(one.ahead_ms ?? 0) <= SKEW);
  const said = [
    isLed && ready.length === 0 ? "No other clock could take over: none lives that is connected to its broker and has the right time." : null,
    isLed && ready.length > 0 && ready.every((one) => one.warm === false) ? "Whoever takes over now reads everything first: none of the clocks that follow is warm." : null,
    differ((one) => one.version) ? "They are of several versions." : null,
    differ((one) => one.time_zones) ? "They have several releases of the time zone data." : null,
    replication,
  ].filter((text) => text !== null);
  const heading = !isLed ? "Nobody leads" : leader ? `${leader} leads` : "One of them leads, and does not say where it is reached";
  const list = said.length ? h("ul", {}, said.map((text) => h("li", {}, text))) : null;
  return h("section", { class: `verdict ${!isLed ? "bad" : said.length ? "busy" : "good"}` }, h("div", {}, h("h2", {}, heading), list));
}

/** @param {Cluster} cluster */
function leading({ is_led: isLed, term, timeline, since, gap_ms: gap }) {
  return facts([
    [isLed ? "Since" : "Last since", since ? [moment(since, true), " ", countdown(since)] : "never"],
    ["Before that", gap === null ? null : `nobody led for ${lasting(gap)}`],
    ["Term", [String(term), timeline ? ` on timeline ${timeline} of the database` : null]],
  ]);
}

/** @param {Cluster} cluster */
function members({ here, members: all }) {
  const rows = all.map((one) => {
    const role = !one.lives ? pill("gone", "still") : one.leads ? pill("leads", "good") : pill("follows", "busy");
    const isOff = one.ahead_ms !== null && Math.abs(one.ahead_ms) > SKEW;
    const ahead = one.ahead_ms === null ? "not known" : `${one.ahead_ms > 0 ? "+" : ""}${lasting(one.ahead_ms)}`;
    const cells = [
      role,
      [one.address ?? h("span", { class: "quiet" }, "not said"), one.id === here ? h("small", {}, " this one") : null],
      one.version,
      one.time_zones,
      h("span", { class: isOff ? "wrong" : "" }, ahead),
      one.lives ? (one.has_broker ? "connected" : h("span", { class: "wrong" }, "away")) : "",
      one.lives && one.warm !== null ? (one.warm ? "yes" : h("span", { class: "wrong", title: one.cold ?? "" }, "no")) : "",
      `${lasting(one.seen_ms_ago)} ago`,
    ];
    return row(cells, { "data-key": one.id });
  });
  return table("Clocks of this name", ["Role", "Address", "Version", "Time zones", "Ahead", "Broker", "Warm", "Seen"], rows, "None was seen within an hour.");
}

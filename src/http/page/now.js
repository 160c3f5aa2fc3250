/** Is time kept? What is due next, what is sent, and what needs a person. */

import { read } from "./api.js";
import { pauseEverything, resumeEverything } from "./actions.js";
import { h, panel, pill, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { follow } from "./feed.js";
import { follows, health, mood } from "./health.js";
import { mayEverything } from "./session.js";
import { countdown, lasting, moment, number, regularly, several } from "./time.js";

/** How often the clock is asked, in ms. */
const EVERY = 2_000;
/** Rows of the record that lateness is told of. */
const RECENT = 200;
/** Events that are shown of the feed. */
const SHOWN = 20;

/** @param {import("./app.js").View} view */
export async function now({ root, signal, again }) {
  const [verdict, figures, due, sent] = [h("div"), h("div"), h("div"), h("tbody")];
  const state = h("span", { class: "quiet" }, "connecting");
  const stop = h("button", { type: "button", "aria-pressed": "false" }, "Hold");
  const feed = panel("Sent", h("div", { class: "wide feed", role: "region", "aria-label": "Events as they are sent", tabindex: 0 }, feedTable(sent)), [state, stop]);
  show(root, h("h1", { class: "unseen" }, "Now"), verdict, figures, h("div", { class: "two" }, panel("Due next", due), feed));

  let held = false;
  stop.addEventListener("click", () => {
    held = !held;
    stop.setAttribute("aria-pressed", String(held));
    stop.textContent = held ? "Go on" : "Hold";
  });
  const look = async () => {
    const ready = await health(signal);
    show(verdict, verdictOf(ready, again));
    try {
      const [soon, record] = await Promise.all([
        read("v1/schedules:due", { query: { limit: 12 }, signal }),
        read("v1/history", { query: { limit: RECENT, outcome: "confirmed" }, signal }),
      ]);
      show(figures, follows(ready) ? null : figuresOf(ready, record.rows));
      show(due, dueTable(soon.schedules));
      // Where the feed begins: what was sent last is shown, too.
      return record.rows.slice(0, SHOWN).at(-1)?.position;
    } catch (error) {
      if (signal.aborted) throw error;
      show(figures);
      show(due, h("p", {}, words(error)));
    }
  };
  const lookAgain = () => look().catch((error) => {
    if (signal.aborted) return;
    show(verdict, h("section", { class: "verdict bad" }, h("h2", {}, "The clock does not answer"), h("p", {}, words(error))));
  });
  const start = await lookAgain();
  void follow({
    signal,
    after: start,
    onState: (said, lives) => {
      show(state, lives ? pill("live", "good") : said);
    },
    onMessage: (message) => {
      if (held) return;
      sent.prepend(received(message));
      while (sent.rows.length > SHOWN) sent.deleteRow(-1);
    },
  });
  regularly(lookAgain, EVERY, signal);
}

/**
 * @param {any} ready
 * @param {() => void} again
 */
function verdictOf(ready, again) {
  if (follows(ready)) {
    const leader = ready.leader ? `The clock at ${ready.leader} leads; what stands below is the leader's.` : "No clock has said that it leads and where it is reached: khronos cluster shows who does.";
    const why = ready.reasons.map((/** @type {string} */ text) => h("li", {}, text));
    return h("section", { class: `verdict ${mood(ready)}` }, h("div", {}, h("h2", {}, "This clock follows"), h("p", {}, leader), why.length ? h("ul", {}, why) : null));
  }
  const heading = { good: "Time is kept", busy: ready.paused ? "Everything is paused" : "Time is kept, and something needs a look", bad: "Time is not kept" }[mood(ready)];
  // Of the pause there is a line of its own.
  const warnings = ready.warnings.filter((/** @type {string} */ text) => !ready.paused || !text.startsWith("paused since "));
  const said = [...ready.reasons, ...warnings].map((/** @type {string} */ text) => h("li", {}, text));
  if (ready.parked) said.push(h("li", {}, h("a", { href: "#/parked" }, several(ready.parked, "event is", "events are")), " parked, and wait for a person."));
  if (ready.outstanding) said.push(h("li", {}, h("a", { href: "#/schedules?state=catching-up" }, several(ready.outstanding, "schedule has", "schedules have")), " something outstanding."));
  if (ready.paused_by_name) said.push(h("li", {}, h("a", { href: "#/schedules?state=paused" }, several(ready.paused_by_name, "schedule is", "schedules are")), " paused by name."));
  const pause = ready.paused;
  const told = pause ? h("p", {}, "Since ", moment(pause.since), ` by ${pause.by}: ${pause.note}. `, pause.until ? h("span", {}, "It ends ", countdown(pause.until), ".") : "It ends when somebody resumes.") : null;
  const button = !mayEverything()
    ? null
    : pause
      ? h("button", { type: "button", class: "main", onclick: async () => (await resumeEverything(pause)) && again() }, "Resume everything …")
      : h("button", { type: "button", onclick: async () => (await pauseEverything()) && again() }, "Pause everything …");
  const settled = h("p", { class: "quiet" }, "Everything due up to ", moment(ready.settled, true), " is settled, or kept as outstanding.");
  return h("section", { class: `verdict ${mood(ready)}` }, h("div", {}, h("h2", {}, heading), told, said.length ? h("ul", {}, said) : null, settled), button);
}

/**
 * @param {any} ready
 * @param {any[]} rows
 */
function figuresOf(ready, rows) {
  const late = rows.map((row) => row.lateness_ms ?? 0).sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => late[Math.min(late.length - 1, Math.floor(late.length * share))] ?? 0;
  const lateness = late.length ? lasting(at(0.5)) : "none yet";
  const tail = late.length ? `half of the last ${late.length}; the latest ${lasting(at(1))}` : "nothing was sent yet";
  const broker = { up: "connected", blocked: "takes no messages", down: "away", closed: "closed" }[/** @type {string} */ (ready.broker.link)] ?? ready.broker.link;
  const about = ready.broker.broker ?? ready.broker.reason ?? ready.broker.error ?? "";
  return h("div", { class: "figures" }, [
    figure("Lateness", lateness, tail, "", at(0.5) > 1_000),
    figure("Broker", broker, about, "", ready.broker.link !== "up"),
    figure("Outstanding", number(ready.outstanding), "schedules with something unsettled", "#/schedules?state=catching-up", ready.outstanding > 0),
    figure("Parked", number(ready.parked), "events that wait for a person", "#/parked", ready.parked > 0),
    figure("Sent", number(ready.confirmed), `since the start; ${number(ready.returned)} reached nobody`, "", false),
  ]);
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} about
 * @param {string} href
 * @param {boolean} alarms
 */
function figure(name, value, about, href, alarms) {
  const inside = [h("span", { class: "name" }, name), h("strong", {}, value), h("small", {}, about)];
  return href ? h("a", { class: `figure ${alarms ? "alarms" : ""}`, href }, inside) : h("div", { class: `figure ${alarms ? "alarms" : ""}` }, inside);
}

/** @param {any[]} schedules */
function dueTable(schedules) {
  const rows = schedules.map((one) => row([countdown(one.next_due_at), moment(one.next_due_at), h("a", { href: `#/schedules/${encodeURIComponent(one.name)}` }, one.name)]));
  return table("Schedules that are due next", ["In", "Due", "Schedule"], rows, "Nothing is due.");
}

/** @param {HTMLTableSectionElement} body */
function feedTable(body) {
  const heads = ["Sent", "Event", "Late"].map((name) => h("th", { scope: "col" }, name));
  return h("table", {}, h("caption", { class: "unseen" }, "Events as they are confirmed"), h("thead", {}, h("tr", {}, heads)), body);
}

/** @param {import("./feed.js").Message} message */
function received(message) {
  if (message.event === "gap") {
    const gap = JSON.parse(message.data);
    return row([h("td", { colspan: 3, class: "quiet" }, `some are missing: ${gap.reason}`)]);
  }
  const event = JSON.parse(message.data);
  const late = event.khronoslatenessms;
  const about = event.data?.cause && event.data.cause !== "scheduled" ? ` · ${event.data.cause}` : "";
  return row([moment(event.recordedtime ?? event.time, true), [h("span", {}, message.event), h("small", {}, ` ${event.subject ?? ""}${about}`)], typeof late === "number" ? lasting(late) : ""], { class: "new", title: `id ${event.id}` });
}


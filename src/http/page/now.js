/** Is time kept? What is due next, what is sent, and what needs a person. */

import { read } from "./api.js";
import { pauseEverything, resumeEverything } from "./actions.js";
import { h, panel, pill, row, show, table } from "./dom.js";
import { words } from "./dialog.js";
import { follow } from "./feed.js";
import { follows, health, mood } from "./health.js";
import { Lateness } from "./lateness.js";
import { whyLink } from "./outcome.js";
import { renew } from "./renew.js";
import { mayEverything } from "./session.js";
import { countdown, lasting, moment, number, regularly, several } from "./time.js";

/** How often the clock is asked, in ms. */
const EVERY = 2_000;
/** Rows of the record that lateness is told of at first. */
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

  const lateness = new Lateness();
  let [isHeld, missed] = [false, 0];
  stop.addEventListener("click", () => {
    isHeld = !isHeld;
    stop.setAttribute("aria-pressed", String(isHeld));
    stop.textContent = isHeld ? "Go on" : "Hold";
    if (!isHeld && missed) sent.prepend(row([h("td", { colspan: 3, class: "quiet" }, `${several(missed, "more")} while this was held`)]));
    missed = 0;
  });
  // Each by itself: one that fails hides nothing of the others.
  const look = async () => {
    const [ready, soon] = await Promise.allSettled([health(signal), read("v1/schedules:due", { query: { limit: 12 }, signal })]);
    if (signal.aborted) return;
    const all = soon.status === "fulfilled" ? soon.value : null;
    if (ready.status === "fulfilled") {
      renew(verdict, verdictOf(ready.value, all?.paused, again));
      renew(figures, figuresOf(ready.value, lateness));
    } else {
      renew(verdict, h("section", { class: "verdict bad" }, h("h2", {}, "The clock does not answer"), h("p", {}, words(ready.reason))));
      renew(figures);
    }
    // Whoever goes through the rows keeps them as they are.
    if (all && !due.contains(document.activeElement)) renew(due, dueTable(all.schedules));
    if (soon.status === "rejected") renew(due, h("p", { class: "wrong" }, words(soon.reason)));
  };
  /** Where the feed begins: what was sent last is shown, too. */
  const recorded = async () => {
    try {
      const { rows } = await read("v1/history", { query: { limit: RECENT, outcome: "confirmed" }, signal });
      // Those of the feed's beginning come once more, by the feed.
      for (const one of rows.slice(SHOWN).reverse()) lateness.take(one.sent_at, one.lateness_ms);
      return rows.slice(0, SHOWN).at(-1)?.position;
    } catch (error) {
      if (!signal.aborted) show(state, words(error));
    }
  };
  const [start] = await Promise.all([recorded(), look()]);
  if (signal.aborted) return;
  void follow({
    signal,
    after: start,
    onState: (said, lives) => show(state, lives ? pill("live", "good") : said),
    onMessage: (message) => {
      const [shown, at, late] = received(message);
      lateness.take(at, late);
      if (isHeld) return void (missed += 1);
      sent.prepend(shown);
      while (sent.rows.length > SHOWN) sent.deleteRow(-1);
    },
  });
  regularly(look, EVERY, signal);
}

/**
 * @param {any} ready
 * @param {any} paused the pause of everything, of the clock that leads
 * @param {() => void} again
 */
function verdictOf(ready, paused, again) {
  const pause = paused ?? (follows(ready) ? null : ready.paused);
  const told = pause ? h("p", {}, "Since ", moment(pause.since), ` by ${pause.by}: ${pause.note}. `, pause.until ? h("span", {}, "It ends ", countdown(pause.until), ".") : "It ends when somebody resumes.") : null;
  const button = !mayEverything()
    ? null
    : pause
      ? h("button", { type: "button", class: "main", "data-key": "resume", onclick: async () => (await resumeEverything()) && again() }, "Resume everything …")
      : h("button", { type: "button", "data-key": "pause", onclick: async () => (await pauseEverything()) && again() }, "Pause everything …");
  if (follows(ready)) {
    const leader = ready.leader ? `The clock at ${ready.leader} leads; what stands below is the leader's.` : "No clock has said that it leads and where it is reached: Cluster shows who does.";
    const why = [...ready.reasons, ...(ready.warnings ?? [])].map((/** @type {string} */ text) => h("li", {}, text));
    const rests = pause ? h("p", {}, h("strong", {}, "Everything is paused.")) : null;
    return h("section", { class: `verdict ${pause ? "busy" : mood(ready)}` }, h("div", {}, h("h2", {}, "This clock follows"), h("p", {}, leader), rests, told, why.length ? h("ul", {}, why) : null), button);
  }
  const heading = { good: "Time is kept", busy: pause ? "Everything is paused" : "Time is kept, and something needs a look", bad: "Time is not kept" }[mood(ready)];
  // Of the pause there is a line of its own.
  const warnings = (ready.warnings ?? []).filter((/** @type {string} */ text) => !pause || !text.startsWith("paused since "));
  const said = [...ready.reasons, ...warnings].map((/** @type {string} */ text) => h("li", {}, text));
  if (ready.parked) said.push(h("li", {}, h("a", { href: "#/parked" }, several(ready.parked, "event is", "events are")), " parked, and wait for a person."));
  if (ready.outstanding) said.push(h("li", {}, h("a", { href: "#/schedules?state=catching-up" }, several(ready.outstanding, "schedule has", "schedules have")), " something outstanding."));
  if (ready.paused_by_name) said.push(h("li", {}, h("a", { href: "#/schedules?state=paused" }, several(ready.paused_by_name, "schedule is", "schedules are")), " paused by name."));
  const settled = h("p", { class: "quiet" }, "Everything due up to ", moment(ready.settled, true), " is settled, or kept as outstanding.");
  return h("section", { class: `verdict ${mood(ready)}` }, h("div", {}, h("h2", {}, heading), told, said.length ? h("ul", {}, said) : null, settled), button);
}

/**
 * @param {any} ready
 * @param {Lateness} lateness
 */
function figuresOf(ready, lateness) {
  if (!ready.broker) return null;
  const broker = { up: "connected", blocked: "takes no messages", down: "away", closed: "closed" }[/** @type {string} */ (ready.broker.link)] ?? ready.broker.link;
  const about = ready.broker.broker ?? ready.broker.reason ?? ready.broker.error ?? "";
  const { value, about: when, alarms } = lateness.shown();
  /** @type {Record<string, string>} */
  const roles = { leader: "leads", follower: "follows", lapsed: "leads, unconfirmed" };
  const [late, link] = [figure("Lateness", value, when, "", alarms), figure("Broker", broker, about, "", ready.broker.link !== "up")];
  const role = ready.role ? figure("Among several", roles[ready.role] ?? ready.role, "which of them does what", "#/cluster", ready.role === "lapsed") : null;
  // What else a follower says of itself is of nobody.
  if (follows(ready)) return h("div", { class: "figures" }, late, link, role);
  return h("div", { class: "figures" }, [
    late,
    link,
    role,
    figure("Outstanding", number(ready.outstanding), "schedules with something unsettled", "#/schedules?state=catching-up", ready.outstanding > 0),
    figure("Parked", number(ready.parked), "events that wait for a person", "#/parked", ready.parked > 0),
    figure("Sent", number(ready.confirmed), `since the start; ${number(ready.returned)} reached nobody`, "", false),
  ]);
}

/**
 * @param {string} name
 * @param {string} value
 * @param {import("./dom.js").Child | import("./dom.js").Child[]} about
 * @param {string} href
 * @param {boolean} alarms
 */
function figure(name, value, about, href, alarms) {
  const inside = [h("span", { class: "name" }, name), h("strong", {}, value), h("small", {}, about)];
  const shared = { class: `figure ${alarms ? "alarms" : ""}`, "data-key": name };
  return href ? h("a", { ...shared, href }, inside) : h("div", shared, inside);
}

/** @param {any[]} schedules */
function dueTable(schedules) {
  const rows = schedules.map((one) => row([countdown(one.next_due_at), moment(one.next_due_at), h("a", { href: `#/schedules/${encodeURIComponent(one.name)}` }, one.name)], { "data-key": one.name }));
  return table("Schedules that are due next", ["In", "Due", "Schedule"], rows, "Nothing is due.");
}

/** @param {HTMLTableSectionElement} body */
function feedTable(body) {
  const heads = ["Sent", "Event", "Late"].map((name) => h("th", { scope: "col" }, name));
  return h("table", {}, h("caption", { class: "unseen" }, "Events as they are confirmed"), h("thead", {}, h("tr", {}, heads)), body);
}

/**
 * @param {import("./feed.js").Message} message
 * @returns {[HTMLTableRowElement, unknown, unknown]} its row, when it was sent, and how late in ms
 */
function received(message) {
  if (message.event === "gap") {
    const gap = JSON.parse(message.data);
    return [row([h("td", { colspan: 3, class: "quiet" }, `some are missing: ${gap.reason}`)]), null, null];
  }
  const event = JSON.parse(message.data);
  const late = event.khronoslatenessms;
  const at = event.recordedtime ?? event.time;
  const about = event.data?.cause && event.data.cause !== "scheduled" ? ` · ${event.data.cause}` : "";
  const cells = [moment(at, true), [whyLink(event.id, message.event), h("small", {}, ` ${event.subject ?? ""}${about}`)], typeof late === "number" ? lasting(late) : ""];
  return [row(cells, { class: "new", title: `id ${event.id}` }), at, late];
}

/** Why an event was sent, or was not; and what came of it, as services report it. */

import { Refused, part, read } from "./api.js";
import { facts, h, panel, pill, show } from "./dom.js";
import { words } from "./dialog.js";
import { whyLink } from "./outcome.js";
import { reason } from "./reason.js";
import { renew } from "./renew.js";
import { countdown, lasting, moment, regularly, several } from "./time.js";
import { line, tree } from "./tree.js";

/** How often it is asked again, in ms. */
const EVERY = 5_000;
/** How often in a row nothing more is said of it before it is not asked again: what is said of an event comes within seconds. */
const TRIES = 12;
/** The longest text that may be asked for: names and ids are shorter. */
const LONGEST = 255;

/** @type {Record<string, "good" | "busy" | "bad" | "still">} */
const MOODS = { sent: "good", sending: "busy", waiting: "busy", parked: "bad", dropped: "bad", "details-lost": "busy", "clock-set-back": "busy" };
/** Of what nothing more becomes. */
const ENDED = ["sent", "skipped", "dropped", "details-lost", "clock-set-back", "not-due"];

/** @typedef {import("./tree.js").Seen} Seen */
/** @typedef {{ causes?: Seen[], roots: import("./tree.js").TreeNode[], left_out?: number, since?: string, interrupted_at?: string, lost?: [string, string][] }} Observed */
/** @typedef {{ id: string, clock: any, observed: Observed | null, note?: string }} Answer */

/** @param {import("./app.js").View} view */
export async function why({ root, name, signal }) {
  const input = h("input", { type: "search", id: "why-id", value: name, maxlength: LONGEST, required: true, placeholder: "nightly-report@2026-12-01T02:30:00Z", autocomplete: "off", spellcheck: "false" });
  const field = h("div", { class: "field" }, h("label", { for: input.id }, "Id of an event, a task or a trace; or schedule@due"), input);
  const form = h("form", { class: "filter asking", role: "search" }, field, h("button", { type: "submit", class: "main" }, "Ask"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const asked = input.value.trim();
    if (asked) location.hash = `#/why/${encodeURIComponent(asked)}`;
  });
  const answer = h("div", { class: "view" });
  show(root, h("h1", {}, "Why"), form, answer);
  if (!name) return void show(answer, hint());
  // As a part of an address these would be another address.
  if (/^\.{1,2}$/.test(name)) return void show(answer, panel("Nothing is known of it", h("p", {}, "That is not an id.")));
  answer.setAttribute("aria-busy", "true");
  /** @type {Answer | null} */
  let known = null;
  /** Answers in a row after which nothing more is to be expected. */
  let empty = 0;
  /** @type {import("./tree.js").Opened} */
  const opened = { open: new Map(), shown: new Map(), again: () => void (known && draw(known)) };
  const draw = (/** @type {Answer} */ known) => renew(answer, clocks(known), panel("What came of it", came(known, opened)));
  const look = async () => {
    try {
      known = await read(`v1/why/${part(name)}`, { signal });
      if (known) draw(known);
      empty = !known?.observed && ENDED.includes(known?.clock?.state) ? empty + 1 : 0;
    } catch (error) {
      if (signal.aborted) return;
      const isUnknown = error instanceof Refused && error.status === 404;
      // What is not understood will not be later, either.
      const isWrong = error instanceof Refused && (error.status === 400 || error.status === 422);
      empty = isWrong ? TRIES : isUnknown ? empty + 1 : 0;
      known = null;
      renew(answer, panel(isUnknown ? "Nothing is known of it" : "This can't be shown", h("p", { class: isUnknown ? "" : "wrong" }, words(error))));
    }
    answer.setAttribute("aria-busy", "false");
  };
  await look();
  regularly(async () => empty >= TRIES || look(), EVERY, signal);
}

function hint() {
  return panel("What this answers", [
    h("p", {}, "Why something was sent when it was, or was not sent: by its event's id, or as ", h("code", {}, "schedule@due"), "."),
    h("p", {}, "What came of it: which services handled it, attempt by attempt, what followed, and what waits or lies in the dead letters. That is known of services that report, if the clock listens to them."),
    h("p", { class: "quiet" }, "Events in Now, rows of a schedule's record, the timeline and what is parked lead here."),
  ]);
}

/** What the clock knows. @param {Answer} answer */
function clocks({ id, clock }) {
  if (!clock) return panel("The clock's part", h("p", {}, "The clock has not sent it, and it follows from nothing that the clock is known to have sent."));
  const isHead = clock.event_id && clock.event_id !== id && !id.includes("@");
  const stands = clock.stands_for;
  const because = [...new Set((clock.why ?? []).map(reason))].filter(Boolean).join("; ");
  const wall = clock.local_time ? h("small", {}, ` ${clock.local_time.replace("T", " ")} ${clock.utc_offset ?? ""} ${clock.time_zone ?? ""}`) : null;
  const name = clock.kind === "delayed" ? clock.schedule : h("a", { href: `#/schedules/${encodeURIComponent(clock.schedule)}` }, clock.schedule);
  return panel("The clock's part", [
    isHead ? h("p", {}, "It began with an event of the clock:") : null,
    ...clock.said.map((/** @type {string} */ text) => h("p", {}, h("bdi", {}, text))),
    facts([
      ["State", [pill(clock.state, MOODS[clock.state] ?? "still"), clock.reason ? h("small", {}, " ", h("bdi", {}, clock.reason)) : null, clock.returned ? h("small", {}, " reached nobody") : null]],
      [clock.kind === "delayed" ? "Delayed event" : "Schedule", [name, clock.kind === "occurrence" || clock.kind === "delayed" ? null : h("small", {}, ` ${clock.kind}`)]],
      ["Event", clock.event ? h("code", {}, clock.event) : null],
      ["When", clock.timing],
      ["Due", [moment(clock.due_at, true), " ", countdown(clock.due_at), wall]],
      ["To be sent", clock.send_at && clock.send_at !== clock.due_at ? moment(clock.send_at, true) : null],
      ["Stands for", stands ? [several(stands.count, "due time"), ", ", moment(stands.first_due_at), " – ", moment(stands.due_at)] : null],
      ["Why then", because],
      ["Sent", clock.sent_at ? [moment(clock.sent_at, true), typeof clock.lateness_ms === "number" ? `, ${lasting(clock.lateness_ms)} late` : null] : null],
      [clock.state === "sent" ? "Sent by" : "Recorded by", clock.leader ? [clock.leader.address ? h("bdi", {}, clock.leader.address) : "a clock without an address", `, term ${clock.leader.term}`, clock.leader.since ? [", which led since ", moment(clock.leader.since)] : null].flat() : null],
      ["Revision", typeof clock.revision === "number" ? [String(clock.revision), clock.creation ? ` of creation ${clock.creation}` : null, clock.effective_from ? [", since ", moment(clock.effective_from)] : null].flat() : null],
      ["Event's id", clock.event_id ? whyLink(clock.event_id, clock.event_id) : null],
      ["Parked", clock.parked ? h("a", { href: "#/parked" }, "it waits for a person") : null],
    ]),
  ]);
}

/**
 * What services reported.
 *
 * @param {Answer} answer
 * @param {import("./tree.js").Opened} opened
 */
function came({ observed, note }, opened) {
  const said = note ? h("p", { class: "quiet" }, note) : null;
  if (!observed) return said ?? h("p", { class: "quiet" }, "Nothing was heard of it on the bus, and no service has reported anything of it.");
  const causes = observed.causes ?? [];
  const notes = [
    observed.left_out ? `${several(observed.left_out, "event is", "events are")} left out, for there are too many for one answer.` : null,
    observed.interrupted_at ? ["Nobody listened about ", moment(observed.interrupted_at), "; what was then may be missing."] : null,
    ...(observed.lost ?? []).map(([service, at]) => [`Reports of ${service} were lost by `, moment(at), "."]),
    observed.since ? ["Observed since ", moment(observed.since), "."] : null,
  ].filter((one) => one !== null);
  return h("div", {}, [
    causes.length ? h("ol", { class: "causes", "aria-label": "What it follows from" }, causes.map((one) => h("li", { "data-key": one.id }, "follows from ", line(one), " ", whyLink(one.id, "why")))) : null,
    tree(observed.roots, opened),
    said,
    ...notes.map((one) => h("p", { class: "quiet" }, ...[one].flat())),
  ]);
}

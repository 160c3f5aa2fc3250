/** Delayed events: those that are pending, by name, in pages; and how the last ones ended. */

import { change, part, read } from "./api.js";
import { byId, calm, h, panel, row, show, table } from "./dom.js";
import { ask, words } from "./dialog.js";
import { outcome, whyLink } from "./outcome.js";
import { may } from "./session.js";
import { countdown, lasting, moment, several } from "./time.js";

/** Rows of a page. */
const ROWS = 50;
/** How often the clock is asked on for a page that a filter leaves empty. */
const TRIES = 20;

/** @typedef {{ name: string, event: string, due_at: string, owner: string, creation: number, revision: number, to?: { task: string } }} Pending */

/** @param {import("./app.js").View} view */
export async function delayed({ root, query, signal, again }) {
  const input = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ example) => {
    const control = h("input", { type: "search", id: `filter-${name}`, name, value: query.get(name) ?? "", placeholder: example, autocomplete: "off", spellcheck: "false" });
    return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
  };
  const filter = h("form", { class: "filter", role: "search" }, input("prefix", "Name begins with", "order-7"), input("domain", "Domain", "order.*"), input("owner", "Owner", "orders"));
  const [pending, ended] = [h("div", { "aria-busy": "true" }), h("div")];
  // For readers of screens: how many there are, when the filter is another one.
  const said = h("p", { class: "unseen", role: "status" });
  show(root, h("h1", {}, "Delayed events"), filter, said, panel("Pending", pending), panel("How the last ones ended", ended));

  let last = new AbortController();
  const values = () => Object.fromEntries([...new FormData(filter)].map(([name, value]) => [name, String(value).trim()]).filter(([, value]) => value));
  const look = async (/** @type {string} */ page) => {
    last.abort();
    last = new AbortController();
    const until = AbortSignal.any([signal, last.signal]);
    const wanted = values();
    pending.setAttribute("aria-busy", "true");
    try {
      const found = await search(wanted, page, until);
      const rows = found.events.map((/** @type {Pending} */ one) => pendingRow(one, again));
      const on = h("button", { type: "button", disabled: found.next === null, onclick: () => void look(found.next) }, "On →");
      const first = h("button", { type: "button", disabled: page === "", onclick: () => void look("") }, "← From the beginning");
      show(pending, table("Pending delayed events", ["Name", "Event", "Due", "Owner", "To do"], rows, "None is pending."), page || found.next ? h("nav", { class: "pages", "aria-label": "Pages" }, first, on) : null);
      said.textContent = `${several(rows.length, "pending event")}${found.next ? ", and more on the pages to come" : ""}`;
      // A button of the page before had it.
      if (document.activeElement === document.body) byId("main").focus({ preventScroll: true });
    } catch (error) {
      if (until.aborted) return;
      show(pending, h("p", { class: "wrong" }, words(error)));
    }
    pending.setAttribute("aria-busy", "false");
  };
  const anew = () => {
    // It was typed right before another view was shown.
    if (signal.aborted) return;
    const text = new URLSearchParams(values()).toString();
    history.replaceState(null, "", `#/delayed${text ? `?${text}` : ""}`);
    void look("");
  };
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", calm(anew, 150));
  const endings = async () => {
    try {
      const { rows } = await read("v1/events:history", { query: { limit: 20 }, signal });
      show(ended, table("Ended delayed events", ["Name", "Event", "Due", "Outcome", "Late"], rows.map(endedRow), "None was sent yet."));
    } catch (error) {
      if (!signal.aborted) show(ended, h("p", { class: "wrong" }, words(error)));
    }
  };
  await Promise.all([look(""), endings()]);
}

/**
 * @param {Record<string, string>} wanted
 * @param {string} page
 * @param {AbortSignal} signal
 */
async function search(wanted, page, signal) {
  for (let tries = 1; ; tries += 1) {
    const found = await read("v1/events", { query: { ...wanted, limit: ROWS, page }, signal });
    if (found.events.length || found.next === null || tries === TRIES) return found;
    page = found.next;
  }
}

/**
 * @param {Pending} one
 * @param {() => void} again
 */
function pendingRow(one, again) {
  /** @param {string} word @param {(one: Pending) => Promise<boolean>} does */
  const button = (word, does) => h("button", { type: "button", onclick: async () => (await does(one)) && again() }, word);
  const buttons = may("write") ? h("div", { class: "beside" }, button("Send now …", sendNow), button("Cancel …", cancel)) : "";
  return row([one.name, [h("code", {}, one.event), one.to ? h("small", {}, ` task for ${one.to.task}`) : null], [moment(one.due_at), " ", countdown(one.due_at)], one.owner, buttons]);
}

/** @param {any} one */
function endedRow(one) {
  const name = one.event_id ? whyLink(one.event_id, one.name) : one.name;
  return row([name, h("code", {}, one.event), moment(one.due_at), outcome(one), typeof one.lateness_ms === "number" ? lasting(one.lateness_ms) : ""]);
}

/** What was shown is meant: it may have changed, or another event may have its name. @param {Pending} one */
function tag(one) {
  return `"${one.creation}.${one.revision}"`;
}

/** @param {Pending} one */
function sendNow(one) {
  return ask({
    title: `Send ${one.name} now`,
    verb: "Send it now",
    danger: true,
    preview: async () => ({ says: h("p", {}, "1 event ", h("code", {}, one.event), " is sent now instead of at ", moment(one.due_at), ".") }),
    run: async () => {
      await change("POST", `v1/events/${part(one.name)}/send-now`, { match: tag(one) });
      return `${one.name} is on its way.`;
    },
  });
}

/** @param {Pending} one */
function cancel(one) {
  return ask({
    title: `Cancel ${one.name}`,
    verb: "Cancel the event",
    danger: true,
    preview: async () => ({ says: h("p", {}, "1 event ", h("code", {}, one.event), ", due ", moment(one.due_at), ", is deleted and never sent.") }),
    run: async () => {
      await change("DELETE", `v1/events/${part(one.name)}`, { match: tag(one) });
      return `${one.name} is cancelled.`;
    },
  });
}

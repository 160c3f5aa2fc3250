/**
 * Why an event was sent, what came of it and who handles what: on a clock that listens to four services. `shop` handles
 * `office.tick.passed` at the second attempt and ships a parcel, which `archive` handles; `mailer` makes a dead letter of it, and `billing`
 * is stopped.
 *
 *   node handled.mjs URL FOLDER      screenshots go into the folder
 */

import fs from "node:fs";
import path from "node:path";
import { LOOKS, expect, failures, inspect, launch, open, settled, visit } from "./browser.mjs";

const [base = "", folder = ""] = process.argv.slice(2);

/** @param {string} route */
async function ask(route) {
  const answer = await fetch(new URL(route, base));
  return answer.json();
}

/** Waits until what the view shows has all of these. @param {any} page @param {string[]} words @param {string} where */
async function says(page, words, where = "main .view") {
  const has = (/** @type {{ where: string, words: string[] }} */ { where, words }) => {
    const text = document.querySelector(where)?.textContent ?? "";
    return words.every((word) => text.includes(word));
  };
  await page.waitForFunction(has, { where, words });
}

/** Waits until a view was asked for once more, and what was answered is there. @param {any} page @param {string} part */
async function renewed(page, part) {
  for (let times = 0; times < 2; times += 1) await page.waitForResponse((/** @type {any} */ answer) => answer.url().includes(part));
}

/** @param {any} page @param {string} title */
const panel = (page, title) => page.locator("section.panel", { has: page.getByRole("heading", { name: title, exact: true }) });

/** From an event that is sent to all that came of it. @param {any} browser */
async function tree(browser) {
  const page = await open(browser, base);
  await visit(page, base, "now");
  // The newest: those before it may have been sent before there were services.
  const { rows: [newest] } = await ask("v1/history?schedule=quick&outcome=confirmed&limit=1");
  const sent = page.locator(`.feed tr[title="id ${newest.id}"] a`);
  await sent.waitFor();
  await page.locator(".beside button", { hasText: "Hold" }).click();
  await sent.click();
  await settled(page);
  expect(page.url().includes("#/why/"), "an event that is sent leads to why");
  await says(page, ["The clock's part", "quick", "office.tick.passed", "confirmed"]);
  await says(page, ["shop", "attempt 1", "failed", "attempt 2", "done", "order.parcel.shipped", "mailer", "in the dead letters", "no stamps", "billing"]);
  expect(true, "the whole tree grows: attempts, what followed, what lies dead, and who is silent");
  const nested = await page.locator(".tree .tree summary", { hasText: "order.parcel.shipped" }).count();
  expect(nested === 1, "what followed is nested in what it follows from");

  // By keys alone; and what somebody closed stays closed when the view renews itself.
  await page.keyboard.press("j");
  const isOpen = () => page.evaluate(() => document.querySelector(".tree details")?.hasAttribute("open"));
  expect(await page.evaluate(() => document.activeElement?.tagName === "SUMMARY"), "a key leads to the tree");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !document.querySelector(".tree .tree"));
  await renewed(page, "v1/why/");
  expect(!(await isOpen()), "a part that is closed stays closed");
  expect(await page.evaluate(() => document.activeElement?.tagName === "SUMMARY"), "and the focus stays");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".tree .tree summary");
  await renewed(page, "v1/why/");
  expect(await isOpen(), "and opens again");

  // The trace, and the parcel by itself.
  const parcel = page.locator(".tree .tree .ids a").first();
  await parcel.click();
  await says(page, ["It began with an event of the clock", "follows from"]);
  expect((await page.locator(".causes li").count()) === 1, "an event of a service says what it follows from");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** What is asked by hand, and what nobody knows. @param {any} browser */
async function asked(browser) {
  const page = await open(browser, base);
  await visit(page, base, "schedules/quick");
  const handlers = panel(page, "Who handles it");
  await handlers.getByText("shop").waitFor();
  expect(/\d %/.test(await handlers.innerText()), "a schedule's page says who handles its event, and how much of it");
  await panel(page, "What became of it").locator("tbody a").first().click();
  await says(page, ["The clock's part", "quick"]);
  expect(true, "rows of its record lead to why");
  const { occurrences } = await ask("v1/schedules/quick/next?count=1000");
  const later = occurrences.at(-1).due_at;
  await page.keyboard.press("/");
  await page.locator("#why-id").fill(`quick@${later}`);
  await page.keyboard.press("Enter");
  await says(page, ["to-come"]);
  expect(true, "an occurrence that is to come says so, by schedule and due time");
  await page.locator("#why-id").fill("00000000-0000-0000-0000-000000000000");
  await page.keyboard.press("Enter");
  await says(page, ["Nothing is known of it"]);
  expect(true, "what nobody knows is said to be unknown");
  await page.locator("#why-id").fill("..");
  await page.keyboard.press("Enter");
  await says(page, ["That is not an id."]);
  await page.keyboard.press("Escape");
  await page.keyboard.press("c");
  await page.waitForFunction(() => location.hash === "#/coverage");
  await page.keyboard.press("w");
  await page.waitForFunction(() => location.hash === "#/why");
  expect(true, "both views have keys");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** Who handles what. @param {any} browser */
async function covered(browser) {
  const page = await open(browser, base);
  await visit(page, base, "coverage");
  expect((await page.locator(".verdict h2").innerText()) === "Something is not handled", "a service that is missing is in the heading");
  const services = await panel(page, "Services").innerText();
  expect(/shop\s+at work/.test(services) && /billing\s+stopped/.test(services), `services are named with how they are: ${services.replace(/\s+/g, " ")}`);
  const events = panel(page, "Events");
  const mailer = await events.locator("tr", { hasText: "mailer" }).innerText();
  expect(/order\.parcel\.shipped/.test(mailer) && /\d+ dead/.test(mailer), `what lies dead is counted: ${mailer.replace(/\s+/g, " ")}`);
  const first = await events.locator("tbody tr").first().innerText();
  expect(/dead|silent/.test(first), "what needs a look comes first");
  await page.keyboard.press("/");
  await page.keyboard.type("parcel");
  await page.waitForFunction(() => location.hash.includes("has=parcel") && document.querySelectorAll("main section.panel:first-of-type tbody tr").length === 3);
  expect((await events.innerText()).includes("archive"), "a filter by name is in the address, and passes each handler of the event");
  await renewed(page, "v1/coverage");
  expect(await page.evaluate(() => document.activeElement?.id === "coverage-has"), "whoever types goes on while the view renews itself");
  await page.locator("#coverage-only").check();
  await page.waitForFunction(() => document.querySelectorAll("main section.panel:first-of-type tbody tr").length === 2);
  expect(!(await events.innerText()).includes("archive"), "who needs no look is left out where that is wanted");
  await panel(page, "Not handled in time").locator("tbody a").first().click();
  await says(page, ["order.parcel.shipped", "billing", "not handled"]);
  expect(true, "what was missed leads to why");

  await visit(page, base, "timeline?span=1m");
  await page.keyboard.press("p");
  const who = page.getByRole("button", { name: "Who handled it" });
  for (let steps = 0; steps < 60 && !(await who.count()); steps += 1) await page.keyboard.press("p");
  await who.first().click();
  await says(page, ["shop"], ".detail");
  expect(true, "the timeline says who handled what lies in a column");
  await inspect(page, "timeline, with who handled it");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".detail .panel", { state: "detached" });
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** What is too large, or written by somebody who means harm: played between the clock and the browser. @param {any} browser */
async function hostile(browser) {
  const page = await open(browser, base);
  const at = new Date().toISOString();
  const text = "<img src=x onerror=alert(1)> \u202e";
  const attempts = Array.from({ length: 20 }, (_, one) => ({ attempt: one + 1, outcome: "odd", began_at: at, ended_at: at, reason: text }));
  /** @param {string} id @param {number} handlers @param {any[]} followed */
  const node = (id, handlers, followed) => ({
    event: { id, name: `a.b.${id}`, source: text, subject: text, first_at: at, sent_at: at, sent: 1 },
    handlings: Array.from({ length: handlers }, (_, number) => ({ service: text, queue: `q${number}`, state: "unheard-of", attempts })),
    followed,
  });
  let deep = node("50", 64, []);
  for (let level = 49; level > 0; level -= 1) deep = node(String(level), 64, [deep]);
  const wide = Array.from({ length: 900 }, (_, number) => node(`w${number}`, 1, []));
  const roots = [node("0", 64, [deep, ...wide])];
  await page.route("**/v1/why/*", (/** @type {any} */ route) => route.fulfill({ json: { id: "0", clock: null, observed: { id: "0", roots, left_out: 7 }, note: text } }));
  await visit(page, base, "why/0");
  const many = () => page.evaluate(() => document.querySelectorAll("*").length);
  const before = await many();
  expect(before < 5_000 && (await page.locator("img").count()) === 0, `a large answer is drawn within bounds, and no text becomes markup (${before} elements)`);
  const more = page.locator(".tree > li > details > .came > .tree > li > button");
  expect((await more.innerText()) === "851 more", `the rest is a button: ${await more.innerText()}`);
  await more.click();
  await page.waitForFunction(() => document.querySelector(".tree > li > details > .came > .tree > li > button")?.textContent === "801 more");
  await page.locator("summary", { hasText: "a.b.w60" }).click();
  await page.locator("li[data-key='w60'] .handlings").waitFor();
  expect(true, "what is closed at first is drawn when it is opened");
  expect((await page.locator("main").innerText()).includes("7 events are left out"), "what the clock leaves out is said");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** @param {any} browser */
async function looks(browser) {
  const { missed } = await ask("v1/coverage");
  for (const [name, look] of Object.entries(LOOKS)) {
    const page = await open(browser, base, look);
    for (const [view, part] of [["why", "why"], [`why/${missed[0].event_id}`, "why-of-one"], ["coverage", "coverage"], ["schedules/quick", "schedule-with-handlers"]]) {
      await visit(page, base, String(view));
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: path.join(folder, `${part}-${name}.png`), fullPage: true });
      await inspect(page, `${part}, ${name}`);
    }
    await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
    await page.context().close();
  }
}

fs.mkdirSync(folder, { recursive: true });
const browser = await launch();
try {
  for (const part of [tree, asked, covered, hostile, looks]) await part(browser);
} finally {
  await browser.close();
}
console.log(failures.length ? `\n${failures.length} failed:\n${failures.join("\n")}` : "\nall passed");
process.exitCode = failures.length ? 1 : 0;

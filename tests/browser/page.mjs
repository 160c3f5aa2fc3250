/**
 * The page in a real browser, on a clock with a real RabbitMQ: each view in each look, each operation, and what is not to be seen.
 *
 *   node page.mjs URL FOLDER [PART …]      with READ_TOKEN and ADMIN_TOKEN; screenshots go into the folder
 */

import fs from "node:fs";
import path from "node:path";
import { LOOKS, act, expect, failures, inspect, launch, open, settled, signIn, visit } from "./browser.mjs";
import { behind } from "./proxy.mjs";
import { timeline } from "./timeline.mjs";
import * as trouble from "./trouble.mjs";

const [base = "", folder = "", ...chosen] = process.argv.slice(2);
const [reader = "", admin = ""] = [process.env.READ_TOKEN, process.env.ADMIN_TOKEN];
const VIEWS = ["now", "schedules", "schedules/nightly-report", "schedules/quick", "delayed", "parked", "changes", "forecast", "operations", "timeline", "why", "coverage"];

/** Asks the clock itself. @param {string} route @param {RequestInit} [request] */
async function ask(route, request = {}) {
  const headers = { Authorization: `Bearer ${admin}`, "Content-Type": "application/json" };
  const answer = await fetch(new URL(route, base), { ...request, headers });
  return answer.status === 204 ? null : answer.json();
}

/** Waits until something is so. @param {string} what @param {() => Promise<boolean>} is */
async function until(what, is) {
  const end = Date.now() + 60_000;
  while (Date.now() < end) {
    if (await is()) return expect(true, what);
    await new Promise((done) => setTimeout(done, 100));
  }
  expect(false, what);
}

/** @param {any} browser */
async function strangers(browser) {
  const page = await open(browser, base);
  await page.goto(base);
  await page.waitForSelector(".refused");
  expect((await page.locator("h1").innerText()) === "This clock wants a token", "without a token nothing is shown");
  expect(!(await page.content()).includes("nightly-report"), "the document has no schedule in it");
  await inspect(page, "without a token");
  await page.click("#caller");
  await page.fill("#token", "kh_00000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  await page.click("dialog button[type=submit]");
  await page.waitForFunction(() => document.querySelector("dialog .wrong")?.textContent);
  expect((await page.locator("dialog .wrong").innerText()).includes("not known here"), "a wrong token is refused, in the clock's words");
  await page.keyboard.press("Escape");
  expect((await page.evaluate(() => sessionStorage.length)) === 0, "a wrong token is not kept");
  await signIn(page, reader);
  expect((await page.evaluate(() => [localStorage.length, document.cookie].join())) === "0,", "the token is in the session storage alone");
  await visit(page, base, "schedules/quick");
  expect((await page.getByRole("button", { name: "Pause" }).count()) === 0, "who may only read has no buttons");
  const other = await page.context().newPage();
  await other.goto(base);
  await other.waitForSelector(".refused");
  expect(true, "another tab has no token");
  await page.click("#caller");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForSelector(".refused");
  expect(true, "who signs out sees nothing any more");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** @param {any} browser */
async function looks(browser) {
  for (const [name, look] of Object.entries(LOOKS)) {
    const page = await open(browser, base, look);
    await page.goto(base);
    await page.waitForSelector(".refused");
    await signIn(page, admin);
    for (const view of VIEWS) {
      await visit(page, base, view);
      if (view === "now") await page.waitForFunction(() => document.querySelectorAll(".feed tbody tr").length > 3);
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: path.join(folder, `${view.replace("/", "_")}-${name}.png`) });
      await inspect(page, `${view}, ${name}`);
    }
    if (name === "dark") {
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      expect(ground === "rgb(17, 21, 28)", `a dark scheme is followed (${ground})`);
    }
    await page.context().close();
  }
}

/** @param {any} browser */
async function reads(browser) {
  const page = await open(browser, base);
  await page.goto(base);
  await signIn(page, admin);
  await visit(page, base, "now");
  expect((await page.locator(".verdict h2").innerText()).startsWith("Time is kept"), "the page says that time is kept");
  const first = await page.locator(".feed tbody tr").first().getAttribute("title");
  await page.waitForFunction((/** @type {string} */ before) => document.querySelector(".feed tbody tr")?.getAttribute("title") !== before, first);
  expect(true, "the feed is live");
  await page.keyboard.press("2");
  await settled(page);
  await page.keyboard.press("/");
  await page.keyboard.type("nightly");
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 1);
  expect(page.url().endsWith("#/schedules?prefix=nightly"), "the filter is in the address");
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("h1")?.textContent?.startsWith("nightly-report"));
  await settled(page);
  const next = await page.locator("table").first().innerText();
  expect(next.includes("Europe/Paris"), "keys alone lead to a schedule, and its next occurrences are there");
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 1);
  expect(true, "the way back leads to the filter as it was");
  await page.selectOption("#filter-state", "paused");
  await page.waitForSelector("main .none");
  expect(true, "a filter that nothing passes says so");
  for (const [field, value, many] of [["label", "team:reporting", 1], ["domain", "reporting.*", 1], ["owner", "nobody", 0]]) {
    await page.goto(`${base}#/now`);
    await visit(page, base, `schedules?${field}=${value}`);
    expect((await page.locator("main tbody tr").count()) === many, `the filter ${field}=${value} passes ${many}`);
  }
  await page.click("#zone");
  await visit(page, base, "schedules/nightly-report");
  const due = await page.locator("main tbody tr td time").first().innerText();
  expect(/ 02:30:00 \+0[12]:00$/.test(due), `times are shown in the browser's zone (${due})`);
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** @param {any} browser */
async function operations(browser) {
  const page = await open(browser, base);
  await page.goto(base);
  await signIn(page, admin);
  await visit(page, base, "schedules/quick");
  let says = await act(page, "Pause …", { note: "a test", for: "1 minute" });
  expect(/^60 occurrences would be held back in 1 min 00 s:/.test(says), `a pause says what it holds back: ${says}`);
  expect((await ask("v1/schedules/quick")).pause?.note === "a test", "it is paused");
  await page.waitForSelector("h1 .pill.still");
  await page.waitForTimeout(2_100);
  says = await act(page, "Resume …", { on_resume: "skip" });
  expect(/^\d+ occurrences? fell due since the pause began, and would be recorded as skipped/.test(says), `to resume says what fell due: ${says}`);
  expect((await ask("v1/schedules/quick")).pause === undefined, "it goes on");
  says = await act(page, "Send one now …");
  expect(says.startsWith("1 event"), `to trigger says one event: ${says}`);
  await until("a triggered event is in the record", async () => (await ask("v1/history?schedule=quick&kind=trigger")).rows.length === 1);
  await page.reload();
  await settled(page);
  says = await act(page, "Backfill …", { which: "all", rate: "5" });
  expect(/^[\d ]+ events? would be sent due from/.test(says), `a backfill says how many: ${says}`);
  await visit(page, base, "operations");
  await page.locator("main tbody tr").first().waitFor();
  const isRunning = (await page.getByRole("button", { name: "Cancel …" }).count()) > 0;
  if (isRunning) {
    says = await act(page, "Cancel …");
    expect(/[\d ]+ events? would not be sent/.test(says), `to cancel a backfill says how many: ${says}`);
    expect((await ask("v1/operations")).operations[0].state === "cancelled", "the backfill is cancelled");
  }
  expect(isRunning, "a backfill was running");

  await visit(page, base, "schedules?label=team");
  says = await act(page, "Pause these …", { note: "many" });
  expect(says.startsWith("1 schedule would be paused"), `to pause many says how many: ${says}`);
  await page.waitForSelector("main tbody .pill.still");
  says = await act(page, "Resume these …");
  expect(says.startsWith("1 schedule would be resumed"), `to resume many says how many: ${says}`);
  expect((await ask("v1/schedules/nightly-report")).pause === undefined, "they go on");

  await visit(page, base, "now");
  says = await act(page, "Pause everything …", { note: "all of it" });
  expect(says.includes("The first that it would hold back: "), `to pause everything says what comes first: ${says}`);
  await page.waitForFunction(() => document.querySelector(".verdict h2")?.textContent === "Everything is paused");
  await page.screenshot({ path: path.join(folder, "paused-light.png") });
  await act(page, "Resume everything …");
  await page.waitForFunction(() => document.querySelector(".verdict h2")?.textContent?.startsWith("Time is kept"));
  expect((await ask("readyz")).paused === undefined, "everything goes on");

  await visit(page, base, "parked");
  const id = (await ask("v1/parked")).parked[0].id;
  await page.locator("main tbody input").first().check();
  says = await act(page, "Drop …");
  expect(/^\d+ events? (is|are) dropped for good/.test(says), `to drop says how many: ${says}`);
  expect(!(await ask("v1/parked")).parked.some((/** @type {any} */ one) => one.id === id), "it is dropped");
  // The view shows what was parked when it was opened.
  await until("another one is parked", async () => (await ask("v1/parked")).parked.length > 0);
  await visit(page, base, "now");
  await visit(page, base, "parked");
  await page.locator("main tbody input").first().check();
  says = await act(page, "Release …");
  expect(says.includes("sent again"), `to release says how many: ${says}`);

  const later = { event: "order.reminder.due", in: "1 hour" };
  for (const name of ["a.one", "a.two"]) await ask(`v1/events/${name}`, { method: "PUT", body: JSON.stringify(later) });
  await visit(page, base, "delayed?prefix=a.");
  says = await act(page, "Cancel …");
  expect(says.includes("never sent"), `to cancel an event says what becomes of it: ${says}`);
  await page.waitForFunction(() => document.querySelectorAll("main section:first-of-type tbody tr").length === 1);
  await act(page, "Send now …");
  await until("the delayed event was sent", async () => (await ask("v1/events:history?name=a.two")).rows[0]?.outcome === "confirmed");
  await visit(page, base, "changes");
  const log = await page.locator("main").innerText();
  const seen = ["paused", "resumed", "triggered", "backfilled", "cancelled", "dropped", "released"].filter((word) => !log.includes(word));
  expect(seen.length === 0, `the log of changes has all of that ${seen}`);
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** A clock that does not listen to services says so, and is not asked again. @param {any} browser */
async function unobserved(browser) {
  const page = await open(browser, base);
  await page.goto(base);
  await signIn(page, admin);
  let asked = 0;
  page.on("request", (/** @type {any} */ request) => (asked += Number(request.url().endsWith("/v1/coverage"))));
  await visit(page, base, "coverage");
  const said = await page.locator("main").innerText();
  expect(said.includes("Services are not observed") && said.includes("reports.enabled"), `who handles what is not known, and how it would be is said: ${said.replace(/\s+/g, " ")}`);
  // As long as a clock that knows it would be asked twice.
  for (let times = 0; times < 5; times += 1) await page.waitForResponse((/** @type {any} */ answer) => answer.url().endsWith("/readyz"));
  expect(asked === 1, `it is asked once (${asked})`);
  await visit(page, base, "schedules/quick");
  expect((await page.locator("section", { hasText: "Who handles it" }).innerText()).includes("reports.enabled"), "a schedule's page says so, too");
  await page.locator("section", { hasText: "What became of it" }).locator("tbody a").first().click();
  await page.waitForFunction(() => document.querySelector("main")?.textContent?.includes("The clock's part"));
  const why = await page.locator("main").innerText();
  expect(why.includes("confirmed") && why.includes("reports.enabled"), "why an event was sent is known all the same");
  // The view shows what was parked when it was opened.
  await until("something is parked again", async () => (await ask("v1/parked")).parked.length > 0);
  await visit(page, base, "parked");
  // Of several due times the last one leads on.
  await page.locator("main tbody a time").first().click();
  await page.waitForFunction(() => document.querySelector("main")?.textContent?.includes("The clock's part"));
  const parked = `${await page.evaluate(() => location.hash)} ${await page.locator("main").innerText()}`.replace(/\s+/g, " ");
  expect(parked.startsWith("#/why/unheard%40") && parked.includes("parked"), `what is parked leads to why, by its schedule and due time: ${parked}`);
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** @param {any} browser */
async function prefixed(browser) {
  const proxy = await behind(base, "/ops/khronos", "/staging");
  const [first = "", second = ""] = proxy.urls;
  const page = await open(browser, first);
  await page.goto(first);
  await page.waitForSelector(".refused");
  await signIn(page, admin);
  await visit(page, first, "schedules/quick");
  await act(page, "Send one now …");
  await visit(page, first, "now");
  await page.waitForFunction(() => document.querySelectorAll(".feed tbody tr").length > 0);
  expect(true, "behind a prefix the page reads, changes and follows the feed");
  const shown = page.waitForRequest((/** @type {any} */ request) => request.url() === `${second}v1/caller`);
  await page.goto(second);
  expect((await shown).headers().authorization === undefined, "the token of one clock is not shown to another one of that host");
  await page.waitForSelector(".refused");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
  proxy.close();
}

fs.mkdirSync(folder, { recursive: true });
for (const name of ["order-7.reminder", "order-8.reminder"]) {
  const event = { event: "order.reminder.due", in: name.includes("7") ? "3 hours" : "2 days", data: { order: 7 } };
  await ask(`v1/events/${name}`, { method: "PUT", body: JSON.stringify(event) });
}
await until("something is parked", async () => (await ask("v1/parked")).parked.length > 0);
const browser = await launch();
try {
  const troubles = [timeline, ...Object.values(trouble)].map((part) => ({ name: part.name, part: () => part(browser, { base, admin, ask, until }) }));
  const parts = [strangers, looks, reads, operations, unobserved, prefixed].map((part) => ({ name: part.name, part: () => part(browser) }));
  for (const { name, part } of [...parts, ...troubles]) if (!chosen.length || chosen.includes(name)) await part();
} finally {
  await browser.close();
}
console.log(failures.length ? `\n${failures.length} failed:\n${failures.join("\n")}` : "\nall passed");
process.exitCode = failures.length ? 1 : 0;

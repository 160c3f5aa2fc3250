/**
 * What is seldom seen: answers that fail or do not come, tokens that are replaced, other people at work, keyboards, hidden tabs. What
 * the clock does not do by itself is played between it and the browser.
 */

import { act, expect, inspect, open, settled, signIn, visit } from "./browser.mjs";

/** @typedef {{ base: string, admin: string, ask: (route: string, request?: RequestInit) => Promise<any>, until: (what: string, is: () => Promise<boolean>) => Promise<void> }} Clock */

/** A page of somebody who may do everything. @param {any} browser @param {Clock} clock @param {string} view */
async function shown(browser, { base, admin }, view) {
  const page = await open(browser, base);
  await page.goto(base);
  await page.waitForSelector(".refused");
  await signIn(page, admin);
  await visit(page, base, view);
  return page;
}

/** @param {string} title @param {number} status */
function problem(title, status) {
  return { status, contentType: "application/problem+json", body: JSON.stringify({ type: "about:blank", title, status, code: "too-many", detail: title }) };
}

/** Waits until so many requests of an address came. @param {any} page @param {string} part @param {number} many */
async function asked(page, part, many) {
  for (let found = 0; found < many; found += 1) await page.waitForResponse((/** @type {any} */ answer) => answer.url().includes(part));
}

/** One thing that fails hides nothing else. @param {any} browser @param {Clock} clock */
export async function failures(browser, clock) {
  const page = await shown(browser, clock, "changes");
  await page.route("**/v1/history*", (/** @type {any} */ route) => route.fulfill(problem("too many at a time", 429)));
  await page.route("**/v1/schedules:due*", (/** @type {any} */ route) => route.fulfill(problem("the loop is busy", 503)));
  await visit(page, clock.base, "now");
  expect((await page.locator(".verdict h2").innerText()).startsWith("Time is kept"), "a record that can't be read does not say that time is not kept");
  expect((await page.locator(".two .wrong").innerText()) === "the loop is busy", "what is due says why it is not there");
  await page.unroute("**/v1/schedules:due*");
  await page.waitForSelector(".two .panel:first-child tbody tr");
  expect(true, "it comes as soon as it can");
  await page.route("**/readyz", (/** @type {any} */ route) => route.fulfill(problem("it can not even tell", 503)));
  await page.waitForFunction(() => document.querySelector(".verdict h2")?.textContent === "The clock does not answer");
  expect((await page.locator(".verdict p").innerText()) === "it can not even tell", "a clock that does not say how it is, is said to do so");
  await page.unroute("**/readyz");
  await page.waitForFunction(() => document.querySelector(".verdict h2")?.textContent?.startsWith("Time is kept"));
  for (const hash of ["#/%", "#/constructor", "#/__proto__"]) {
    await page.goto(`${clock.base}${hash}`);
    await page.waitForFunction(() => location.hash === "#/now");
  }
  expect(true, "an address that nobody wrote well leads to the first view");
  await visit(page, clock.base, "schedules/nightly-report");
  await page.route("**/trigger", (/** @type {any} */ route) => route.abort());
  await page.locator("main").getByRole("button", { name: "Send one now …" }).click();
  await page.locator("dialog button[type=submit]:enabled").click();
  await page.waitForFunction(() => document.querySelector("dialog .wrong")?.textContent);
  const said = await page.locator("dialog .wrong").innerText();
  expect(said.includes("whether it is done is not known"), `a change without an answer is not said to have failed: ${said}`);
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** A token that is not known any more. @param {any} browser @param {Clock} clock */
export async function replaced(browser, clock) {
  const page = await shown(browser, clock, "now");
  await page.route("**/v1/**", (/** @type {any} */ route) => route.fulfill({ ...problem("this token is not known here", 401) }));
  await page.waitForSelector(".refused");
  expect((await page.locator("h1").innerText()) === "This clock wants a token", "a view that is open asks for a token when its own is replaced");
  /** @type {string[]} */
  const more = [];
  page.on("request", (/** @type {any} */ request) => more.push(request.url()));
  await page.waitForTimeout(6_000);
  expect(more.length === 0, `nothing more is asked with it: ${more}`);
  await page.unroute("**/v1/**");
  await page.getByRole("button", { name: "Give a token" }).click();
  await page.fill("#token", clock.admin);
  await page.click("dialog button[type=submit]");
  await page.waitForSelector(".verdict");
  expect(true, "another token goes on where it was");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** What somebody else does meanwhile. @param {any} browser @param {Clock} clock */
export async function others(browser, clock) {
  const page = await shown(browser, clock, "schedules/nightly-report");
  const path = "v1/schedules/nightly-report";
  await page.locator("main").getByRole("button", { name: "Pause …" }).click();
  await page.fill("#field-note", "mine");
  await page.waitForSelector("dialog button[type=submit]:enabled");
  await clock.ask(`${path}/pause`, { method: "POST", body: JSON.stringify({ note: "the migration", by: "ann" }) });
  await page.locator("dialog button[type=submit]").click();
  await page.waitForFunction(() => document.querySelector("dialog .wrong")?.textContent);
  const said = await page.locator("dialog .wrong").innerText();
  expect(said.includes("has paused it meanwhile (the migration)"), `another one's pause is not replaced unseen: ${said}`);
  expect((await clock.ask(path)).pause.note === "the migration", "it stays as it was");
  await page.locator("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.locator("main").getByRole("button", { name: "Resume …" }).waitFor();
  expect((await page.locator("main").getByRole("button", { name: "Pause …" }).count()) === 0, "the buttons follow what somebody else did");
  // What was worked out a while ago is worked out again before it is done.
  await page.locator("main").getByRole("button", { name: "Resume …" }).click();
  await page.waitForSelector("dialog button[type=submit]:enabled");
  await page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() + 11_000;
  });
  await page.route("**/nightly-report/next*", async (/** @type {any} */ route) => {
    const answer = await route.fetch();
    const found = await answer.json();
    const one = { ...found.occurrences[0], due_at: "2026-01-01T00:00:00.000Z" };
    await route.fulfill({ response: answer, json: { ...found, occurrences: [one, ...found.occurrences] } });
  });
  await page.locator("dialog button[type=submit]").click();
  await page.waitForFunction(() => document.querySelector("dialog .wrong")?.textContent?.includes("has changed meanwhile"));
  expect((await clock.ask(path)).pause.note === "the migration", "what changed since it was shown is shown before it is done");
  await page.locator("dialog button[type=submit]:enabled").click();
  await page.waitForSelector("dialog", { state: "detached" });
  expect((await clock.ask(path)).pause === undefined, "then it is done");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** A question that is left while it is done. @param {any} browser @param {Clock} clock */
export async function left(browser, clock) {
  const page = await shown(browser, clock, "schedules/nightly-report");
  /** @type {() => void} */
  let answer = () => {};
  const held = new Promise((done) => (answer = () => done(undefined)));
  await page.route("**/nightly-report/trigger", async (/** @type {any} */ route) => (await held, route.fulfill(problem("the disk is full", 503))));
  await page.locator("main").getByRole("button", { name: "Send one now …" }).click();
  await page.locator("dialog button[type=submit]:enabled").click();
  await page.waitForSelector("dialog form[aria-busy=true]");
  expect(await page.locator("dialog button[type=submit]").isDisabled(), "what is done is not done twice");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  answer();
  await page.waitForFunction(() => document.body.innerText.includes("the disk is full"));
  expect(true, "what became of it is said also where its question was closed");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** What has the focus keeps it. @param {any} browser @param {Clock} clock */
export async function keyboard(browser, clock) {
  const page = await shown(browser, clock, "now");
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
  await page.getByRole("button", { name: "Pause everything …" }).focus();
  await asked(page, "/readyz", 3);
  expect((await focused()) === "Pause everything …", `a button keeps the focus while its view is renewed (${await focused()})`);
  await page.locator(".figure", { hasText: "Parked" }).focus();
  await asked(page, "/readyz", 3);
  expect((await focused()).startsWith("Parked"), `and so does a figure (${await focused()})`);
  await page.keyboard.press("j");
  const name = await focused();
  await asked(page, "/readyz", 3);
  expect((await focused()) === name && name !== "", `and a row (${name})`);
  await clock.ask("v1/events/k.one", { method: "PUT", body: JSON.stringify({ event: "order.reminder.due", in: "1 hour" }) });
  await visit(page, clock.base, "delayed?prefix=k.");
  await page.waitForSelector("main .countdown");
  expect((await page.locator("main [aria-live] .countdown").count()) === 0, "what counts down is not read out each second");
  await visit(page, clock.base, "schedules/nightly-report");
  await act(page, "Send one now …");
  await settled(page);
  await page.waitForFunction(() => document.activeElement?.id === "main");
  expect(true, "after an operation the focus is in the view");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** A tab that is not seen holds no feed. @param {any} browser @param {Clock} clock */
export async function hidden(browser, clock) {
  const page = await shown(browser, clock, "now");
  await page.waitForSelector(".feed tbody tr");
  const seen = (/** @type {boolean} */ is) => page.evaluate((/** @type {boolean} */ hides) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hides });
    document.dispatchEvent(new Event("visibilitychange"));
  }, !is);
  const ended = page.waitForEvent("requestfailed", (/** @type {any} */ request) => request.url().includes("/v1/feed"));
  await seen(false);
  await ended;
  expect((await page.locator("main").innerText()).includes("rests while the page is hidden"), "a page that is not seen follows no feed");
  const again = page.waitForRequest((/** @type {any} */ request) => request.url().includes("/v1/feed"));
  await seen(true);
  const place = (await again).headers()["last-event-id"];
  expect(Boolean(place), "it goes on where it was when it is seen again");
  const gaps = () => page.locator(".feed tbody tr", { hasText: "some are missing" }).count();
  await page.waitForSelector(".pill.good");
  expect((await gaps()) === 0, "and nothing is missing");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** @param {any} browser @param {Clock} clock */
export async function filters(browser, clock) {
  const page = await shown(browser, clock, "schedules?prefix=nightly");
  const pauses = page.getByRole("button", { name: "Pause these …" });
  await pauses.waitFor();
  await page.fill("#filter-prefix", "N");
  await page.waitForSelector("main .wrong");
  expect((await pauses.count()) === 0, "what was refused as a filter can't be paused by the one before");
  await page.fill("#filter-prefix", "nightly");
  await pauses.click();
  expect((await page.locator("dialog h2").innerText()) === "Pause all schedules with prefix nightly", "the question names the filter");
  await page.keyboard.press("Escape");
  await page.fill("#filter-prefix", "quick");
  await page.evaluate(() => (location.hash = "#/schedules/quick"));
  await page.waitForFunction(() => document.querySelector("h1")?.textContent?.startsWith("quick"));
  await page.waitForTimeout(400);
  expect(page.url().endsWith("#/schedules/quick"), `what was typed last does not lead away (${page.url()})`);
  for (const name of ["f.one", "f.two", "g.one"]) await clock.ask(`v1/events/${name}`, { method: "PUT", body: JSON.stringify({ event: "order.reminder.due", in: "1 hour" }) });
  await visit(page, clock.base, "delayed");
  await page.fill("#filter-prefix", "f.");
  await page.waitForFunction(() => location.hash === "#/delayed?prefix=f.");
  await page.waitForFunction(() => document.querySelectorAll("main section:first-of-type tbody tr").length === 2);
  // What was shown is meant, and nothing that has its name by then.
  await page.locator("main").getByRole("button", { name: "Send now …" }).first().click();
  await page.waitForSelector("dialog button[type=submit]:enabled");
  await clock.ask("v1/events/f.one", { method: "PUT", body: JSON.stringify({ event: "order.reminder.due", in: "2 hours" }) });
  await page.locator("dialog button[type=submit]").click();
  await page.waitForFunction(() => document.querySelector("dialog .wrong")?.textContent);
  expect((await clock.ask("v1/events/f.one")).state === "pending", "an event that was moved meanwhile is not sent");
  await page.keyboard.press("Escape");
  await page.reload();
  await settled(page);
  await act(page, "Cancel …");
  await page.waitForFunction(() => document.querySelectorAll("main section:first-of-type tbody tr").length === 1);
  expect(page.url().endsWith("#/delayed?prefix=f."), "an operation leaves the filter as it is");

  // A label that few have, among very many: what took long is not looked for by itself.
  let looks = 0;
  await page.route("**/v1/schedules?*", async (/** @type {any} */ route) => {
    looks += 1;
    const list = looks < 4 ? { schedules: [], next: `page-${looks}` } : { schedules: [await clock.ask("v1/schedules/quick")], next: null };
    await route.fulfill({ json: { clock: "khronos", ...list } });
  });
  await visit(page, clock.base, "schedules?label=rare");
  await page.waitForSelector("main tbody tr");
  await page.waitForTimeout(6_000);
  expect(looks === 4, `what is found after long is not looked for again by itself (${looks})`);
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** @param {any} browser @param {Clock} clock */
export async function times(browser, clock) {
  const page = await shown(browser, clock, "schedules/quick");
  const first = async () => page.locator("main section:has(h2:text-is('Next')) tbody tr time").first().getAttribute("datetime");
  const before = await first();
  await clock.until("what comes next is told anew when the first has passed", async () => (await first()) !== before);
  await page.click("#zone");
  await settled(page);
  const texts = await page.locator("main time").allInnerTexts();
  const wrong = texts.filter((/** @type {string} */ text) => !/ \+0[12]:00$/.test(text));
  expect(texts.length > 0 && wrong.length === 0, `each local time has its offset (${texts[0]}) ${wrong}`);
  await page.click("#zone");
  await visit(page, clock.base, "changes");
  const today = await page.locator("main time").first().innerText();
  expect(!today.includes("-"), `of today the time is enough (${today})`);
  await page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() + 86_400_000;
  });
  await page.waitForFunction(() => document.querySelector("main time")?.textContent?.includes("-"));
  expect(true, "when the day is over it is said");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** @param {any} browser @param {Clock} clock */
export async function coming(browser, clock) {
  const page = await shown(browser, clock, "forecast?hours=1");
  const many = await page.locator(".facts").innerText();
  expect(/Schedules\s+\d/.test(many) && (await page.locator(".chart rect").count()) >= 60, `an hour is shown by the minute (${many.replace(/\s+/g, " ")})`);
  await page.getByRole("link", { name: "a day" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".chart rect").length < 60);
  expect((await page.locator(".choice[aria-current]").innerText()) === "a day", "a day is shown by the half hour");
  await inspect(page, "forecast");
  expect(await page.locator("#views a[data-view=cluster]").isHidden(), "a clock that is alone has no view of several");
  await page.goto(`${clock.base}#/cluster`);
  await page.waitForSelector("main .wrong");
  expect((await page.locator("main .wrong").innerText()).includes("is alone"), "it says that it is alone");
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/** The timeline: what became of what was due, what is coming, and where the clocks change; by keys, by mouse, and in numbers. */

import { expect, inspect, open, settled, signIn, visit } from "./browser.mjs";

/** What a lane says of itself, to who can't see it. @param {any} page @param {string} name */
const lane = (page, name) => page.locator(`li.lane[data-key="${name}"] svg`).getAttribute("aria-label");

/** Waits until the address has, or has no longer, this part. @param {any} page @param {string} part @param {boolean} has */
const addressed = (page, part, has = true) => page.waitForFunction(([part, has]) => location.hash.includes(String(part)) === has, [part, has]);

/** @param {any} browser @param {import("./trouble.mjs").Clock} clock */
export async function timeline(browser, { base, admin }) {
  const page = await open(browser, base);
  await page.goto(base);
  await page.waitForSelector(".refused");
  await signIn(page, admin);
  await visit(page, base, "timeline?span=1m");
  const names = await page.locator("li.lane a").allInnerTexts();
  expect(["nightly-report", "quick", "unheard"].every((name) => names.includes(name)), `each schedule has a lane (${names})`);
  const quick = await lane(page, "schedule quick");
  expect(/\d+ sent/.test(quick) && /\d+ coming/.test(quick), `what was sent and what is coming stand side by side: ${quick}`);
  const unheard = await lane(page, "schedule unheard");
  expect(/\d+ parked/.test(unheard), `what reached nobody is parked: ${unheard}`);
  expect((await page.locator("li.lane path.parked").count()) > 0 && (await page.locator("li.lane path.now").first().getAttribute("d")) !== "", "it is drawn, and so is now");
  await page.waitForFunction((/** @type {string} */ before) => document.querySelector('li.lane[data-key="schedule quick"] svg')?.getAttribute("aria-label") !== before, quick);
  expect(true, "it goes on by itself");

  await page.keyboard.press("-");
  await addressed(page, "span=5m");
  await page.keyboard.press("+");
  await addressed(page, "span=1m");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await addressed(page, "&at=");
  await settled(page);
  expect(!/sent/.test(await lane(page, "schedule quick")), "to the right is what is coming, and nothing else");
  await page.keyboard.press("0");
  await addressed(page, "&at=", false);
  await settled(page);
  expect(/sent/.test(await lane(page, "schedule quick")), "a key leads back to now");
  await page.keyboard.press("p");
  await page.waitForSelector(".detail .panel");
  const chosen = await page.locator(".detail").innerText();
  expect(chosen.includes("quick") && /sent|parked/.test(chosen), `a key leads to the thing before, and says what lies there: ${chosen.replace(/\s+/g, " ")}`);
  expect((await page.locator("main [role=status]").innerText()) !== "", "who does not see it is told");
  await inspect(page, "timeline, with something chosen");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".detail .panel", { state: "detached" });
  const strip = page.locator('li.lane[data-key="recorded"] svg');
  const box = await strip.boundingBox();
  await strip.click({ position: { x: box.width * 0.4, y: 4 } });
  await page.waitForSelector(".detail .panel");
  expect(true, "so does a click");
  await page.locator("summary").click();
  const row = page.locator("details tbody tr", { hasText: "unheard" });
  expect(/\d/.test(await row.innerText()), "the same is there in numbers");
  await page.waitForResponse((/** @type {any} */ response) => response.url().includes("v1/timeline"));
  await page.waitForResponse((/** @type {any} */ response) => response.url().includes("v1/timeline"));
  expect(await row.isVisible(), "and stays there while the window goes on");
  await inspect(page, "timeline, in numbers");

  await visit(page, base, "timeline?span=1w&at=2027-03-28T01:00:00Z&zone=Europe/Paris");
  const changes = await page.locator(".ticks text.change").allTextContents();
  expect(changes[0] === "+01:00 → +02:00", `where the clocks of the zone change is marked (${changes})`);
  expect((await lane(page, "schedule nightly-report")) === "7 coming", `a week of nights is coming: ${await lane(page, "schedule nightly-report")}`);
  await page.keyboard.press("/");
  await page.keyboard.type("nightly");
  await page.waitForFunction(() => document.querySelectorAll("li.lane a").length === 1);
  expect(page.url().includes("prefix=nightly") && page.url().includes("at=2027"), "the filter is in the address, and the window stays");
  await page.keyboard.press("Escape");
  await page.selectOption("#timeline-zone", "UTC");
  await page.waitForFunction(() => document.querySelectorAll(".ticks text.change").length === 0);
  expect(true, "UTC has no changes");

  // A record that is longer than what is looked through for one answer.
  await page.route("**/v1/timeline*", async (/** @type {any} */ route) => {
    const answer = await route.fetch();
    const shown = await answer.json();
    if (!route.request().url().includes("before=")) shown.record = { earlier: "1", since: shown.now, through: null };
    await route.fulfill({ response: answer, json: shown });
  });
  const further = page.waitForRequest((/** @type {any} */ request) => request.url().includes("before=1"));
  await page.goto(`${base}#/now`);
  await page.goto(`${base}#/timeline`);
  await further;
  await page.waitForFunction(() => document.querySelectorAll("li.lane a").length === 3 && !document.body.textContent?.includes("not counted yet"));
  expect(/sent/.test(await lane(page, "schedule quick")), "a long record is read on, and what was there stays");
  await page.unrouteAll({ behavior: "ignoreErrors" });

  // One that is longer than what is read on by itself: each part is added once, however often it is asked for.
  let parts = 0;
  await page.route("**/v1/timeline*", async (/** @type {any} */ route) => {
    const answer = await route.fetch();
    const shown = await answer.json();
    const isOlder = route.request().url().includes("before=");
    if (isOlder) parts += 1;
    shown.record = { earlier: parts === 12 ? null : String(parts + 1), since: shown.now, through: null };
    [shown.recorded, shown.unknown] = [[{ column: 1, sent: isOlder ? 1 : 100 }], []];
    await route.fulfill({ response: answer, json: shown });
  });
  const counts = (/** @type {number} */ sent) => page.waitForFunction((/** @type {string} */ label) => document.querySelector('li.lane[data-key="recorded"] svg')?.getAttribute("aria-label") === label, `${sent} sent`);
  await page.goto(`${base}#/now`);
  await page.goto(`${base}#/timeline`);
  await counts(110);
  const on = page.locator('button[data-key="on"]:enabled');
  await on.waitFor();
  await on.evaluate((/** @type {HTMLElement} */ button) => (button.click(), button.click()));
  await counts(112);
  await on.waitFor({ state: "detached" });
  expect(parts === 12, `each part of a long record is read once, also where somebody presses the button twice (${parts})`);
  await page.unrouteAll({ behavior: "ignoreErrors" }); // what it asks as it goes is nobody's
  await page.context().close();
}

/**
 * How long each first view takes, on a clock that is there: what the server takes for the slowest answer, and the browser until all of the
 * view is shown. Medians of some turns, and the most; the first turn, in which modules are read, is left out.
 *
 *   node views.mjs URL      with TURNS=9; HELD_PART=views of benches/held.rs runs it
 */

import { launch, open } from "./browser.mjs";

const [base = ""] = process.argv.slice(2);
const turns = Number(process.env.TURNS ?? 9);
const VIEWS = ["now", "schedules", "schedules?domain=bench", "timeline", "timeline?span=1m", "timeline?span=1M", "delayed", "parked", "changes", "operations", "forecast"];

/** @param {number[]} times */
const shown = (times) => {
  const sorted = times.toSorted((one, other) => one - other);
  return `${(sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(0).padStart(6)}${(sorted.at(-1) ?? 0).toFixed(0).padStart(8)}`;
};

const browser = await launch();
const page = await open(browser, base);
await page.goto(base);
await page.waitForSelector("main .view h1", { state: "attached" });
console.log(`${"".padEnd(26)}  server, most  browser, most   (ms)`);
for (const view of VIEWS) {
  const times = { server: /** @type {number[]} */ ([]), browser: /** @type {number[]} */ ([]) };
  for (let turn = 0; turn <= turns; turn += 1) {
    // A view that asks for nothing any more.
    await page.goto(`${base}#/cluster`);
    await page.waitForSelector("main .view.cluster .wrong, main .view.cluster .panel");
    // From within: what is between here and the browser is left out.
    const { server, whole } = await page.evaluate(async (/** @type {string} */ hash) => {
      performance.clearResourceTimings();
      const begun = performance.now();
      location.hash = hash;
      const name = hash.slice(2).split("?")[0];
      const part = name === "now" ? "main .two tbody tr" : "main .panel, main .wide, main .none";
      const isThere = () => document.querySelector(`main .view.${name}`) && !document.querySelector("main [aria-busy=true]") && document.querySelector(part);
      while (!isThere()) await new Promise((done) => requestAnimationFrame(done));
      await new Promise((done) => requestAnimationFrame(done));
      const whole = performance.now() - begun;
      const asked = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/v1/") && !entry.name.includes("/v1/feed"));
      const took = asked.map((entry) => (entry instanceof PerformanceResourceTiming ? entry.responseStart - entry.requestStart : 0));
      return { server: Math.max(0, ...took), whole };
    }, `#/${view}`);
    if (turn > 0) {
      times.server.push(server);
      times.browser.push(whole);
    }
  }
  console.log(`${view.padEnd(26)}${shown(times.server)}${shown(times.browser)}`);
}
await browser.close();

/**
 * The page of two clocks on one database: of the one that leads, of the one that follows while everything is paused, and of that one
 * when it has taken over.
 *
 *   node several.mjs URL leader|follower|successor FOLDER
 */

import fs from "node:fs";
import path from "node:path";
import { act, expect, failures, inspect, launch, open, settled, visit } from "./browser.mjs";

const [base = "", part = "", folder = ""] = process.argv.slice(2);

/** @param {any} page */
const heading = (page) => page.locator(".verdict h2").innerText();

/** @param {any} page */
async function leader(page) {
  await visit(page, base, "now");
  expect((await heading(page)).startsWith("Time is kept"), "the leader says that time is kept");
  expect((await page.locator(".figure", { hasText: "Among several" }).innerText()).includes("leads"), "it says that it leads");
  await page.locator("#views a[data-view=cluster]").click();
  await settled(page);
  expect((await heading(page)) === `${base.replace(/\/$/, "")} leads`, "the cluster says who leads");
  const rows = page.locator("main tbody tr");
  const isWhole = () => [...document.querySelectorAll("main tbody tr")].filter((row) => row.textContent?.includes("connected")).length === 2;
  await page.waitForFunction(isWhole);
  const texts = await rows.allInnerTexts();
  expect(texts.filter((/** @type {string} */ text) => text.includes("leads")).length === 1, `one of two leads: ${texts}`);
  expect(texts.some((/** @type {string} */ text) => text.includes("leads") && text.includes("this one")), "it is this one");
  expect(texts.every((/** @type {string} */ text) => text.includes("ms")), "of each its broker and its time are there");
  expect(/Term\s+\d+/.test(await page.locator(".facts").innerText()), "so is the term");
  await inspect(page, "cluster");
  await page.screenshot({ path: path.join(folder, "cluster-light.png") });
}

/** @param {any} page */
async function follower(page) {
  await visit(page, base, "now");
  expect((await heading(page)) === "This clock follows", "a follower does not say that time is kept");
  await page.waitForFunction(() => document.querySelector(".verdict")?.textContent?.includes("Everything is paused"));
  expect((await page.locator(".verdict").innerText()).includes("new disks"), "the leader's pause is there, and why");
  expect((await page.locator(".figure", { hasText: "Parked" }).count()) === 0, "figures of nobody are not");
  await page.screenshot({ path: path.join(folder, "follower-light.png") });
  const says = await act(page, "Resume everything …");
  expect(says.startsWith("What fell due since"), `it is resumed by way of the follower: ${says}`);
  await page.waitForFunction(() => !document.querySelector(".verdict")?.textContent?.includes("Everything is paused"));
  // What it has by itself is there also where nothing comes from the leader.
  for (const some of ["schedules", "history", "feed", "events", "parked"]) await page.route(`**/v1/${some}*`, (/** @type {any} */ route) => route.abort());
  await page.reload();
  await page.waitForSelector(".verdict h2");
  expect((await heading(page)) === "This clock follows", "it says what it is though the leader does not answer");
  await visit(page, base, "cluster");
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 2);
  expect((await page.locator("main tbody tr", { hasText: "follows" }).innerText()).includes("this one"), "the cluster is there, asked of the follower");
}

/** @param {any} page */
async function successor(page) {
  await visit(page, base, "now");
  await page.waitForFunction(() => document.querySelector(".verdict h2")?.textContent?.startsWith("Time is kept"));
  await visit(page, base, "cluster");
  await page.waitForFunction(() => document.querySelector("main tbody")?.textContent?.includes("gone"));
  const said = await page.locator("main").innerText();
  expect(said.includes("No other clock could take over"), "who is alone by now is told so");
  expect(/nobody led for/.test(said), "and how long nobody led");
}

/** @type {Record<string, (page: any) => Promise<void>>} */
const parts = { leader, follower, successor };
fs.mkdirSync(folder, { recursive: true });
const browser = await launch();
try {
  await parts[part]?.(await open(browser, base));
} finally {
  await browser.close();
}
console.log(failures.length ? `\n${failures.length} failed:\n${failures.join("\n")}` : "\nall passed");
process.exitCode = failures.length || !parts[part] ? 1 : 0;

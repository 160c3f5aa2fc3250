/**
 * A real browser, Debian's chromium, before the page: whatever it complains of, and each request that leaves the page's origin, is a
 * failure.
 */

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** Where test.sh has installed what is needed. */
const needs = process.env.BROWSER_NEEDS ?? ".";
const require = createRequire(pathToFileURL(path.resolve(needs, "package.json")));
const { chromium } = require("playwright-core");
const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** Looks that the page is to be good in. */
export const LOOKS = {
  light: { viewport: { width: 1280, height: 900 } },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  narrow: { viewport: { width: 390, height: 844 }, hasTouch: true },
};

/** How long anything may take that is waited for, in ms: on a machine that is busy with other things. */
const LIMIT = 60_000;

/** @type {string[]} */
export const failures = [];

/** @param {boolean} good @param {string} what */
export function expect(good, what) {
  console.log(`${good ? "ok  " : "FAIL"} ${what}`);
  if (!good) failures.push(what);
}

export function launch() {
  const args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

/**
 * A page of its own session. Statuses that the test provokes are no complaints.
 *
 * @param {any} browser @param {string} base @param {object} look
 */
export async function open(browser, base, look = LOOKS.light) {
  const context = await browser.newContext({ ...look, timezoneId: "Europe/Paris", locale: "en" });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT);
  const { origin } = new URL(base);
  page.on("request", (/** @type {any} */ request) => {
    if (new URL(request.url()).origin !== origin) expect(false, `no request leaves the origin: ${request.url()}`);
  });
  page.on("pageerror", (/** @type {Error} */ error) => expect(false, `no error in the page: ${error.stack}`));
  page.on("console", (/** @type {any} */ message) => {
    const text = message.text();
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) expect(false, `no complaint in the console: ${text}`);
  });
  return page;
}

/** Shows a view, and waits until it is there. @param {any} page @param {string} base @param {string} view */
export async function visit(page, base, view) {
  await page.goto(`${base}#/${view}`);
  await settled(page);
}

/** Until the view that is shown has all that it asked for at first. @param {any} page */
export async function settled(page) {
  await page.waitForSelector("main .view h1", { state: "attached" });
  await page.waitForFunction(() => !document.querySelector("main [aria-busy=true]") && document.querySelectorAll("main .panel, main .wide, main .none").length > 0);
}

/** Is it accessible, and nothing cut off? @param {any} page @param {string} what */
export async function inspect(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => /** @type {any} */ (window).axe.run());
  const said = violations.map((/** @type {any} */ one) => `${one.id}: ${one.nodes.map((/** @type {any} */ node) => node.html.slice(0, 160)).join(" ")}`);
  expect(said.length === 0, `${what}: axe-core finds nothing ${said.join("; ")}`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(over <= 0, `${what}: nothing is wider than the screen (${over} px)`);
}

/** Gives a token by the page's own button. @param {any} page @param {string} token */
export async function signIn(page, token) {
  await page.click("#caller");
  await page.fill("#token", token);
  await page.click("dialog button[type=submit]");
  await page.waitForSelector("dialog", { state: "detached" });
  await settled(page);
}

/** Presses a button that asks first; gives what the preview says, and does it. @param {any} page @param {string} button @param {Record<string, string>} fields */
export async function act(page, button, fields = {}, within = "main") {
  await page.locator(within).getByRole("button", { name: button }).first().click();
  await page.waitForSelector("dialog[open]");
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`dialog #field-${name}`);
    if ((await field.evaluate((/** @type {Element} */ element) => element.tagName)) === "SELECT") await field.selectOption(value);
    else await field.fill(value);
  }
  const go = page.locator("dialog button[type=submit]");
  await page.waitForFunction(() => document.querySelector("dialog .wrong")?.textContent || !document.querySelector("dialog button[type=submit]")?.hasAttribute("disabled"));
  const wrong = await page.locator("dialog .wrong").textContent();
  if (wrong) throw new Error(`${button}: ${wrong}`);
  const says = await page.locator("dialog .preview").innerText();
  await go.click();
  await page.waitForSelector("dialog", { state: "detached" });
  return says.replace(/\s+/g, " ").trim();
}

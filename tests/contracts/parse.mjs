/**
 * Reads AsyncAPI documents with the official parser: `node parse.mjs FILE…`. Prints a line for each channel, `FILE ID ADDRESS ACTIONS`,
 * and a line for each complaint; ends with 1 if there are complaints.
 */

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** Where test.sh has installed what is needed. */
const needs = process.env.CONTRACTS_NEEDS ?? ".";
const require = createRequire(pathToFileURL(path.resolve(needs, "package.json")));
const { Parser } = require("@asyncapi/parser");

/** What it says of every document of version 3.0: that there is a later one. */
const LATEST = "asyncapi-latest-version";

let complaints = 0;
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(file, "utf8"));
  for (const { code, message, path: place } of diagnostics.filter(({ code }) => code !== LATEST)) {
    complaints += 1;
    console.log(`${file}: /${place.join("/")}: ${code}: ${message}`);
  }
  for (const channel of document?.channels().all() ?? []) {
    const actions = channel.operations().all().map((operation) => operation.action()).sort();
    console.log(path.basename(file), channel.id(), channel.address(), actions.join(","));
  }
}
process.exit(complaints > 0 ? 1 : 0);

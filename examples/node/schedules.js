#!/usr/bin/env node
// Schedules at run time over HTTP, with Node's own fetch alone (Node 18 or newer).
//
//     schedules.js put NAME [REVISION] < DEFINITION.json
//     schedules.js delete NAME
//
// The clock's address is in KHRONOS_URL (http://127.0.0.1:7650 if left out), the token in KHRONOS_TOKEN.
//
// A put says how a schedule is to be. Sent again it changes nothing, so that whatever got no answer is simply sent again.
'use strict';

const ATTEMPTS = 8;
const LONGEST_PAUSE = 30; // seconds
const LATER = [429, 503, 507]; // too often, not now, the disk is full: the same again, later

const sleep = (seconds) => new Promise((done) => setTimeout(done, Math.min(seconds, LONGEST_PAUSE) * 1000));

// The answer: status, ETag and JSON. Tries again where that may help.
async function ask(method, path, body, headers = {}) {
  const url = (process.env.KHRONOS_URL || 'http://127.0.0.1:7650').replace(/\/$/, '') + path;
  const token = process.env.KHRONOS_TOKEN;
  const shown = token ? { Authorization: `Bearer ${token}` } : {};
  for (let attempt = 0; ; attempt += 1) {
    const last = attempt === ATTEMPTS - 1;
    let pause = 2 ** attempt / 4;
    let why;
    try {
      const all = { 'Content-Type': 'application/json', ...shown, ...headers };
      const signal = AbortSignal.timeout(30_000);
      const answer = await fetch(url, { method, body, headers: all, signal });
      const text = await answer.text();
      const json = text ? JSON.parse(text) : {};
      if (!LATER.includes(answer.status) || last) {
        return { status: answer.status, tag: answer.headers.get('etag'), json };
      }
      pause = Number(answer.headers.get('retry-after')) || 1;
      why = json.detail;
    } catch (error) { // not reached, or the connection was lost before the answer
      why = error.cause?.message || error.message;
      if (last) return { json: { detail: why } };
    }
    console.error(`trying again: ${why}`);
    await sleep(pause);
  }
}

// Says all that is wrong, each at its place.
function fail(problem) {
  console.error(problem.detail);
  for (const error of problem.errors || []) console.error(`  ${error.pointer || '/'}: ${error.detail}`);
  return 1;
}

async function main([what, name, revision]) {
  if (!['put', 'delete'].includes(what) || !name) {
    console.error('schedules.js put NAME [REVISION] < DEFINITION.json | schedules.js delete NAME');
    return 2;
  }
  const body = what === 'put' ? require('fs').readFileSync(0) : undefined;
  const headers = revision ? { 'If-Match': `"${revision}"` } : {};
  const { status, tag, json } = await ask(what.toUpperCase(), `/v1/schedules/${encodeURIComponent(name)}`, body, headers);
  if (status === 200 || status === 201) {
    const { outcome, occurrences_left: left, next_due_at: [coming = 'never'] } = json;
    console.log(`${name} ${outcome}, revision ${tag}, next due ${coming}, left ${left}`);
    return 0;
  }
  if (status === 204) {
    console.log(`${name} is gone`);
    return 0;
  }
  return fail(json);
}

module.exports = { ask, fail };

if (require.main === module) {
  main(process.argv.slice(2)).then((code) => { process.exitCode = code; });
}

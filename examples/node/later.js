#!/usr/bin/env node
// Delayed events over HTTP, with Node's own fetch alone (Node 18 or newer).
//
//     later.js put NAME < ITEM.json        creates or moves the event of this name
//     later.js post KEY < ITEM.json        the clock names it; the same again under the key (Idempotency-Key) is the same event
//     later.js batch < ITEMS.ndjson        one item in each line, with its name
//     later.js cancel NAME
//
// The clock's address is in KHRONOS_URL (http://127.0.0.1:7650 if left out), the token in KHRONOS_TOKEN.
//
// By its name or key a put is safe to repeat, so that whatever got no answer is simply sent again. A batch has no key: there each
// item says its name.
'use strict';

const { ask, fail } = require('./schedules.js');

const read = () => require('fs').readFileSync(0);

// Sends what was asked for.
const verbs = {
  put: (name) => ask('PUT', `/v1/events/${encodeURIComponent(name)}`, read()),
  post: (key) => ask('POST', '/v1/events', read(), { 'Idempotency-Key': key }),
  batch: () => ask('POST', '/v1/events:batch', read(), { 'Content-Type': 'application/x-ndjson' }),
  cancel: (name) => ask('DELETE', `/v1/events/${encodeURIComponent(name)}`),
};

async function main([verb, name]) {
  if (!(verb in verbs) || (verb === 'batch') !== (name === undefined)) {
    console.error('later.js put NAME < ITEM.json | post KEY < ITEM.json | batch < ITEMS.ndjson | cancel NAME');
    return 2;
  }
  const { status, json } = await verbs[verb](name);
  if (![200, 201, 204].includes(status)) return fail(json);
  if (verb === 'cancel') {
    console.log(`${name} is gone`);
    return 0;
  }
  const outcomes = verb === 'batch' ? json.results : [json];
  for (const one of outcomes) {
    if (one.problem) console.error(`${one.name} refused: ${one.problem.detail}`); // the others are done all the same
    else console.log(`${one.name} ${one.outcome}, due ${one.due_at}`);
  }
  return outcomes.some(({ problem }) => problem) ? 1 : 0;
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code; });

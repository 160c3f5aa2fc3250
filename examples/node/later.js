#!/usr/bin/env node
// Delayed events over HTTP, with Node's own fetch alone (Node 18 or newer).
//
//     later.js put NAME < ITEM.json
//     later.js cancel NAME
//
// The clock's address is in KHRONOS_URL (http://127.0.0.1:7650 if left out), the token in KHRONOS_TOKEN.
//
// By its name a put is safe to repeat, so that whatever got no answer is simply sent again.
'use strict';

const { ask, fail } = require('./schedules.js');

async function main([what, name]) {
  if (!['put', 'cancel'].includes(what) || !name) {
    console.error('later.js put NAME < ITEM.json | later.js cancel NAME');
    return 2;
  }
  const path = `/v1/events/${encodeURIComponent(name)}`;
  if (what === 'cancel') {
    const { status, json } = await ask('DELETE', path);
    if (status !== 204) return fail(json);
    console.log(`${name} is gone`);
    return 0;
  }
  const { status, json } = await ask('PUT', path, require('fs').readFileSync(0));
  if (status !== 200 && status !== 201) return fail(json);
  console.log(`${json.name} ${json.outcome}, due ${json.due_at}`);
  return 0;
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code; });

#!/usr/bin/env node
// Delayed events by message over RabbitMQ, from Node (amqplib); see docs/commands.md.
//
//     later_by_message.js put NAME < ITEM.json
//     later_by_message.js list PREFIX
//     later_by_message.js cancel NAME
//
// The URL of the broker is AMQP_URL. It ends with 1 when the command was refused, and with 75 when no answer came.
'use strict';

const { randomUUID } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { Clock } = require('./commands.js');

const ATTEMPTS = 3;
const LATER = [429, 503, 507]; // too often, not now, the disk is full: the same again, later

class Refused extends Error {}

// The answer's body. The same command is sent again under the same id, and so done once: without an answer, or where it was
// refused for now.
async function ask(clock, command, body) {
  const id = randomUUID();
  for (let attempt = 1; ; attempt += 1) {
    const last = attempt === ATTEMPTS;
    const answer = await clock.ask(command, body, { id, timeout: 10_000 }).catch((error) => {
      if (last) throw error;
    });
    if (answer === undefined) continue;
    if (answer.status < 400) return answer.body;
    if (last || !LATER.includes(answer.status)) {
      throw new Refused(`${answer.status} ${answer.body.code}: ${answer.body.detail}`);
    }
    await new Promise((done) => setTimeout(done, 1000 * (answer.retry_after ?? 1)));
  }
}

// All that are pending and whose names begin so, page by page.
async function* pending(clock, prefix) {
  let page;
  do {
    const said = await ask(clock, 'event.list', { prefix, page });
    yield* said.events;
    page = said.next;
  } while (page);
}

async function main([verb, name]) {
  if (!['put', 'list', 'cancel'].includes(verb) || name === undefined) {
    console.error('later_by_message.js put NAME < ITEM.json | list PREFIX | cancel NAME');
    return 2;
  }
  let clock;
  try {
    clock = await Clock.connect(process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672');
    if (verb === 'put') {
      const item = { ...JSON.parse(readFileSync(0)), name };
      const said = await ask(clock, 'event.put', { item });
      console.log(`${said.name} ${said.outcome}, due ${said.due_at}`);
    } else if (verb === 'list') {
      for await (const event of pending(clock, name)) console.log(`${event.name} is due ${event.due_at}`);
    } else {
      await ask(clock, 'event.delete', { name });
      console.log(`${name} is gone`);
    }
    return 0;
  } catch (error) {
    console.error(error instanceof Refused ? error.message : `no answer: ${error.message}`);
    return error instanceof Refused ? 1 : 75;
  } finally {
    await clock?.close();
  }
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code; });

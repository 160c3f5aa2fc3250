#!/usr/bin/env node
// A subscriber in Node (amqplib): prints each event of the clock, one a line.
//
//     npm ci && node subscriber.js [URL] [--event NAME] [--count N]        the URL may stand in AMQP_URL
//
// The queue is durable and of its own name: what is sent while nobody listens waits in it. A message is acked once its
// work is done. Whatever is sent again carries the same id: the id is what tells one sending from two.
'use strict';

const { once } = require('node:events');
const { setTimeout: pause } = require('node:timers/promises');
const { parseArgs } = require('node:util');
const amqp = require('amqplib');

const EXCHANGE = 'events';
const PREFETCH = 10; // unacked deliveries at a time: after a crash at most these are done again
const REMEMBERED = 1000; // ids; a real service keeps them where it keeps its results, in the same transaction
const [SHORTEST_PAUSE, LONGEST_PAUSE] = [250, 10_000]; // milliseconds between two attempts to connect
const FOR_A_PERSON = [402, 403, 405, 406, 530]; // access, permission, other arguments, vhost: trying again is no use

const seen = new Set();

/** Handles events on one connection until it ends, or until `enough()` says so after an event. */
async function consume(url, event, enough) {
  const connection = await amqp.connect(url, { heartbeat: 15, timeout: 10_000 });
  const failed = new Promise((_, reject) => {
    connection.on('error', reject);
    connection.on('close', () => reject(new Error('the connection was closed')));
  });
  failed.catch(() => {}); // it may end while nobody waits for that
  const handled = (async () => {
    const channel = await connection.createChannel();
    const broken = once(channel, 'error').then(([error]) => { throw error; });
    broken.catch(() => {});
    const queue = `example.${event}`;
    await channel.assertExchange(EXCHANGE, 'topic', { durable: true });
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.bindQueue(queue, EXCHANGE, event);
    await channel.prefetch(PREFETCH);
    const done = new Promise((resolve, reject) => {
      channel.consume(queue, (message) => {
        if (message === null) reject(new Error('the broker cancelled the consumer'));
        else if (handle(channel, message) && enough()) resolve();
      }).then(() => console.error('connected'), reject);
    });
    await Promise.race([done, broken]);
    await channel.close(); // flushes the last acks
  })();
  try {
    await Promise.race([handled, failed]);
  } finally {
    handled.catch(() => {});
    await connection.close().catch(() => {}); // it may be gone already
  }
}

/** Does the work of one message and settles it; whether it was an event not seen before. */
function handle(channel, message) {
  const { messageId: id, type } = message.properties;
  let due;
  try {
    due = JSON.parse(message.content).due_at;
  } catch (error) {
    // It would fail again each time: to the dead letters, if the queue has any.
    console.error(`no event: ${error.message}`);
    channel.reject(message, false);
    return false;
  }
  const again = seen.has(id); // done before: only the ack was lost
  if (!again) {
    console.log(`${due}  ${type}  ${id}`);
    seen.add(id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
  }
  channel.ack(message);
  return !again;
}

/** The broker's number for what is wrong; while a connection is opened it stands in the text, or (the vhost) nowhere. */
function replyCode(error) {
  if (/ConnectionOpenOk; got <ConnectionClose/.test(error.message)) return 530;
  return error.code ?? Number(/terminated by server: (\d+)/.exec(error.message)?.[1]);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { event: { type: 'string', default: 'time.one-minute.passed' }, count: { type: 'string' } },
  });
  const url = positionals[0] ?? process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672';
  const count = Number(values.count ?? Infinity);
  let handled = 0;
  let wait = SHORTEST_PAUSE;
  const enough = () => {
    handled += 1;
    wait = SHORTEST_PAUSE;
    return handled >= count;
  };
  while (handled < count) {
    try {
      await consume(url, values.event, enough);
    } catch (error) {
      if (FOR_A_PERSON.includes(replyCode(error))) throw error;
      console.error(`no connection (${error.message}); trying again`);
      await pause(wait * (0.5 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_PAUSE);
    }
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});

#!/usr/bin/env node
// Sends a command to the clock over RabbitMQ, from Node (amqplib), and prints the answer; see docs/commands.md.
//
//     npm ci && node commands.js schedule.get '{"name": "invoices"}' [--id ID] [--url URL]     the URL may stand in AMQP_URL
//
// It ends with 0 when the command was done, with 1 when it was refused, and with 75 when no answer came: then the same command
// under the same id may be sent again, and is done once.
'use strict';

const { randomUUID } = require('node:crypto');
const { parseArgs } = require('node:util');
const amqp = require('amqplib');

const EXCHANGE = 'khronos.commands';
const DIRECT = 'amq.rabbitmq.reply-to'; // the broker makes a name of it that leads back to this channel

/** Asks the clock, many commands at a time if need be. */
class Clock {
  static async connect(url) {
    const clock = new Clock();
    clock.user = decodeURIComponent(new URL(url).username || 'guest');
    clock.waiting = new Map();
    clock.connection = await amqp.connect(url, { heartbeat: 15, timeout: 10_000 });
    clock.connection.on('error', (error) => clock.fail(error));
    clock.connection.on('close', () => clock.fail(new Error('the connection was closed')));
    clock.channel = await clock.connection.createConfirmChannel(); // a full queue is an error at once
    clock.channel.on('error', (error) => clock.fail(error));
    // mandatory: a clock that takes no commands is an error at once
    clock.channel.on('return', ({ properties }) => {
      clock.waiting.get(properties.correlationId)?.reject(new Error('no clock takes commands here'));
    });
    await clock.channel.consume(DIRECT, (message) => clock.onAnswer(message), { noAck: true });
    return clock;
  }

  /** Resolves to {status, body}. */
  async ask(type, body, { id = randomUUID(), timeout = 30_000 } = {}) {
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    const timer = setTimeout(() => {
      this.waiting.get(id)?.reject(new Error(`no answer to ${type} within ${timeout} ms`));
    }, timeout);
    // the routing key is the type
    this.channel.publish(EXCHANGE, type, Buffer.from(JSON.stringify(body)), {
      contentType: 'application/json',
      persistent: true, // it outlives the broker's restart
      mandatory: true,
      type,
      messageId: id, // the same command again has the same id
      userId: this.user, // the broker vouches for it
      replyTo: DIRECT,
      correlationId: id,
    }, (error) => error && this.waiting.get(id)?.reject(error));
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }

  onAnswer(message) {
    if (message === null) return this.fail(new Error('the broker cancelled the consumer'));
    const { correlationId } = message.properties;
    this.waiting.get(correlationId)?.resolve(JSON.parse(message.content));
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
  }

  async close() {
    await this.connection.close().catch(() => {}); // it may be gone already
  }
}

async function main() {
  const { values, positionals: [type, body = '{}'] } = parseArgs({
    allowPositionals: true,
    options: { id: { type: 'string' }, url: { type: 'string' }, timeout: { type: 'string', default: '30' } },
  });
  let answer;
  let clock;
  try {
    clock = await Clock.connect(values.url ?? process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672');
    answer = await clock.ask(type, JSON.parse(body), { id: values.id, timeout: values.timeout * 1000 });
  } catch (error) {
    console.error(`no answer: ${error.message}`);
    process.exitCode = 75;
    return;
  } finally {
    await clock?.close();
  }
  if (answer.status < 400) {
    console.log(JSON.stringify(answer.body, null, 2));
    return;
  }
  console.error(`${answer.status} ${answer.body.code}: ${answer.body.detail}`);
  for (const { pointer, parameter, detail } of answer.body.errors ?? []) {
    console.error(`  ${pointer || parameter}: ${detail}`);
  }
  process.exitCode = 1;
}

module.exports = { Clock };

if (require.main === module) main();

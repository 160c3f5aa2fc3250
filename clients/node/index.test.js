// The client alone, against a server that answers as it is told to: `node --test clients/node`.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { Bus, BusError } from "./index.js";

const DELIVERY = {
  token: "t1", queue: "shop.a", attempt: 1, attempts: 2, deadline: "2026-12-24T17:00:00Z", correlation_id: "c",
  event: { id: "e1", type: "order.item.placed", data: { order: 7 } },
};
const SETTLED = { retry: "retried", release: "released" };

/** Answers each request by its number, counted from 1: a status and a body, or nothing, which closes the connection. */
async function fake(answer, path) {
  const came = [], halfway = { call() {} }, open = new Set(), halves = [];
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    let read = Buffer.alloc(0);
    open.add(socket);
    socket.on("error", () => {}).on("end", () => halves.push(socket.end())).on("data", async (data) => {
      read = Buffer.concat([read, data]);
      const at = read.indexOf("\r\n\r\n") + 4;
      const head = read.subarray(0, at).toString();
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (at < 4 || read.length < at + length) return;
      const [text, target] = [read.subarray(at, at + length).toString(), head.split(" ")[1]];
      read = read.subarray(at + length);
      came.push([target, text && JSON.parse(text)]);
      const answered = await answer(came.length, ...came.at(-1));
      if (!answered) return socket.destroy();
      const [status, body] = answered;
      const out = typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body);
      socket.write(`HTTP/1.1 ${status} X\r\nContent-Length: ${Buffer.byteLength(out)}\r\n\r\n${out.slice(0, 1)}`);
      await halfway.call();
      if (out) socket.write(out.slice(1));
    });
  });
  await new Promise((listening) => server.listen(path ?? { port: 0, host: "127.0.0.1" }, listening));
  const url = path ? `unix:${path}` : `http://127.0.0.1:${server.address().port}`;
  const outcomes = () => came.filter(([target]) => target.startsWith("/v1/deliveries/")).map(([, body]) => body);
  const close = () => { server.close(); for (const socket of open) socket.destroy(); };
  return { url, came, halfway, halves, outcomes, close };
}

/** The delivery, then these answers to its outcomes, and `done` or what else it was to the others. */
const oneDelivery = (...settling) => (number, path, body) =>
  path.startsWith("/v1/receive") ? [200, DELIVERY]
    : number - 2 < settling.length ? settling[number - 2] : [200, { ended: SETTLED[body.outcome] ?? body.outcome }];

/** What is said of a delivery that this handler has. */
async function settled(handler, ...settling) {
  const served = await fake(oneDelivery(...settling));
  const bus = new Bus({ url: served.url, signals: false, log() {} });
  try {
    await bus.run(async (event) => { bus.stop(); await handler(event); });
  } finally {
    bus.close();
    served.close();
  }
  return served.outcomes();
}

test("what can't be sent fails in the handler and is tried again", async () => {
  const cycle = {};
  cycle.cycle = cycle;
  for (const data of [10n, cycle]) {
    const outcomes = await settled((event) => event.publish("a.b.c", data));
    assert.deepEqual(outcomes.map(({ outcome }) => outcome), ["retry"]);
    assert.match(outcomes[0].reason, /TypeError: /);
  }
});

test("data are taken as they are when they are published", async () => {
  const [outcome] = await settled((event) => {
    const data = { order: 7 };
    event.publish("a.b.c", data, { key: "one" });
    event.task("d.e.f", "täglich");
    data.order = 8;
  });
  assert.deepEqual(outcome.publish, [{ event: "a.b.c", data: { order: 7 }, key: "one" }, { task: "d.e.f", data: "täglich" }]);
});

test("a reason can always be sent", async () => {
  for (const [thrown, reason] of [
    [new Error("half of a pair: \ud83d"), /^Error: half of a pair: \ufffd$/],
    [Object.create(null), /can't be made/],
    [new Error("x".repeat(9999)), /^Error: x{3993}$/],
  ]) {
    const [outcome] = await settled(() => { throw thrown; });
    assert.match(outcome.reason, reason);
  }
  assert.deepEqual(await settled((event) => event.dead(new Error("no \udce9"))), [{ outcome: "dead", reason: "Error: no \ufffd" }]);
});

test("an outcome that is refused is a failed attempt", async () => {
  for (const status of [400, 413, 422]) {
    const [first, second] = await settled((event) => event.publish("a.b.c", 1), [status, { code: "x", detail: "too much" }]);
    assert.deepEqual([first.outcome, second], ["done", { outcome: "retry", reason: "too much" }]);
  }
});

test("an outcome that is being carried out is asked for again for ten minutes", async (context) => {
  context.mock.method(Date, "now", () => now);
  let now = 0;
  const settling = [503, { code: "settling", detail: "ask again" }];
  const answer = (lasting) => (number, path) => {
    now += path.startsWith("/v1/receive") ? 0 : 50_000;
    return path.startsWith("/v1/receive") ? [200, DELIVERY] : number - 2 < lasting ? settling : [200, { ended: "done" }];
  };
  for (const [lasting, ends] of [[3, true], [99, false]]) {
    const served = await fake(answer(lasting));
    const bus = new Bus({ url: served.url, signals: false, log() {} });
    const began = now;
    const running = bus.run(() => bus.stop());
    if (ends) await running;
    else await assert.rejects(running, BusError);
    assert.ok(now - began > 60_000 && now - began <= 650_000, now - began);
    bus.close();
    served.close();
  }
});

test("when one lane fails the others settle what they have, and then it is told", async () => {
  const at = [];
  let goOn;
  const waits = new Promise((resolve) => { goOn = resolve; });
  const served = await fake((number, path, body) => {
    if (path.startsWith("/v1/receive")) {
      at.push(path);
      return at.length > 2 ? new Promise(() => {}) : [200, { ...DELIVERY, token: `t${at.length}` }];
    }
    return path.endsWith("/t1") ? [500, { code: "broken", detail: "no" }] : [200, { ended: "done" }];
  });
  const bus = new Bus({ url: served.url, signals: false, log() {} });
  let isOver = false;
  const running = bus.run(async (event) => { if (event.token === "t2") await waits; }, { concurrency: 2 });
  const over = running.then(() => {}, (error) => error).then((error) => { isOver = true; return error; });
  while (served.outcomes().length === 0) await new Promise(setImmediate);
  for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
  assert.equal(isOver, false, "a handler was abandoned");
  goOn();
  const error = await over;
  assert.deepEqual([error.status, error.code], [500, "broken"]);
  assert.equal(at.length, 2, "the other lane went on");
  assert.equal((await bus.contracts().catch((error) => error)).ended, "done", "the bus itself is not stopped");
  bus.close();
  served.close();
});

test("a lost answer is asked for again under the same id", async () => {
  for (const [options, key] of [[{}, "id"], [{ key: null, id: null }, "id"], [{ key: "k" }, "key"], [{ id: "i" }, "id"]]) {
    const answers = [undefined, [504, { code: "unconfirmed", detail: "?" }], [200, { id: "x" }]];
    const served = await fake((number) => answers[number - 1]);
    const bus = new Bus({ url: served.url, signals: false });
    assert.deepEqual(await bus.publish("a.b.c", 1, { delay: "10m", ...options }), { id: "x" });
    const same = new Set(served.came.map(([, body]) => body[key]));
    assert.deepEqual([served.came.length, same.size], [3, 1]);
    assert.ok([...same][0], key);
    bus.close();
    served.close();
  }
});

test("an event that is on its way still comes when it is stopped", async () => {
  const served = await fake(oneDelivery());
  const bus = new Bus({ url: served.url, signals: false });
  served.halfway.call = () => {
    served.halfway.call = () => {};
    bus.stop();
  };
  const event = await bus.receive();
  assert.equal(event?.id, "e1");
  await event.settle();
  assert.equal(await bus.receive(), undefined);
  assert.deepEqual(served.outcomes(), [{ outcome: "done" }]);
  bus.close();
  served.close();
});

test("an answer that has begun is left alone when it is stopped", async () => {
  const served = await fake(oneDelivery());
  const bus = new Bus({ url: served.url, signals: false });
  const turns = async () => { for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate); };
  served.halfway.call = async () => {
    await turns();
    bus.stop();
    await turns();
  };
  assert.equal((await bus.receive())?.id, "e1");
  assert.equal(served.halves.length, 0, "its connection was half-closed");
  bus.close();
  served.close();
});

test("stopping ends a long poll", async () => {
  const bus = [];
  const served = await fake(() => { bus[0].stop(); return new Promise(() => {}); });
  bus.push(new Bus({ url: served.url, signals: false }));
  assert.equal(await bus[0].receive(), undefined);
  bus[0].close();
  served.close();
});

test("whatever answers it is a BusError", async () => {
  for (const [status, body] of [[431], [404, "<html>"], [400, [1]], [200, "<html>"], [200, [1]], [200], [200, { a: 1 }]]) {
    const served = await fake(() => [status, body]);
    const bus = new Bus({ url: served.url, signals: false, patience: 0 });
    const error = await bus.receive().catch((error) => error);
    assert.ok(error instanceof BusError, error);
    assert.equal(error.status, status === 200 ? 0 : status);
    assert.ok(error.message);
    bus.close();
    served.close();
  }
});

test("only places of ponos serve are taken", async () => {
  for (const url of ["https://127.0.0.1:7313", "127.0.0.1:7313", "http://", "unix:", "http://h/path", "http://h:seven", "http://me:hunter2@h"]) {
    assert.throws(() => new Bus({ url, signals: false }), (error) => !error.message.includes("hunter2"));
  }
  const folder = mkdtempSync(`${tmpdir()}/`);
  const served = await fake(oneDelivery(), `${folder}/a b:c`);
  const bus = new Bus({ url: served.url, signals: false });
  assert.equal((await bus.receive()).id, "e1");
  bus.close();
  served.close();
  rmSync(folder, { recursive: true });
});

test("the first signal stops it and the next one is not taken any more", async () => {
  const before = ["SIGTERM", "SIGINT"].map((name) => process.listenerCount(name));
  const now = () => ["SIGTERM", "SIGINT"].map((name) => process.listenerCount(name));
  const buses = [new Bus(), new Bus()];
  assert.notDeepEqual(now(), before);
  process.emit("SIGTERM");
  assert.deepEqual(now(), before);
  assert.equal(await buses[0].receive(), undefined);
  const closed = new Bus();
  closed.close();
  assert.deepEqual(now(), before);
});

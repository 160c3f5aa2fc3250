// Events and tasks from RabbitMQ, through `ponos serve` beside this program. Standard library only; index.d.ts has the types.
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const WAIT = 20; // seconds of one long poll
const ENDED = { retry: "retried", snooze: "snoozed", release: "released", skip: "skipped" };

/** `ponos serve` refused something, or can't be reached; `status` is 0 then. */
export class BusError extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { name: "BusError", status, code });
  }
}

const span = (time) => (typeof time === "number" ? `${Math.max(0, Math.round(time * 1000))}ms` : time);
const message = (kind, name, data, { at, delay, ...more } = {}) => ({
  [kind]: name, data: data ?? null, at: at instanceof Date ? at.toISOString() : at, in: span(delay), ...more,
});

/** One delivery. What it publishes is sent when it is done. */
export class Event {
  #bus;
  #publish = [];
  #outcome = { outcome: "done" };
  #settled = false;

  constructor(bus, delivery) {
    this.#bus = bus;
    const { event, ...rest } = delivery;
    Object.assign(this, rest, { attributes: event, id: event.id, name: event.type, data: event.data });
  }

  publish(name, data, options) { this.#publish.push(message("event", name, data, options)); }
  task(name, data, options) { this.#publish.push(message("task", name, data, options)); }
  dead(reason) { this.#outcome = { outcome: "dead", reason }; }
  retry(reason, after) { this.#outcome = { outcome: "retry", reason: String(reason), after: span(after) }; }
  snooze(after, reason) { this.#outcome = { outcome: "snooze", after: span(after), reason }; }
  release() { this.#outcome = { outcome: "release" }; }
  skip() { this.#outcome = { outcome: "skip" }; }

  async extend(by) {
    const path = `/v1/deliveries/${this.token}/extend`;
    this.deadline = (await this.#bus._ask("POST", path, { by: span(by) })).deadline;
  }

  /** Settles it now, as it was decided; `bus.run` and the loop do so by themselves. */
  async settle() {
    if (this.#settled) return;
    const isDone = this.#outcome.outcome === "done" && this.#publish.length > 0;
    try {
      await this.#give(isDone ? { ...this.#outcome, publish: this.#publish } : this.#outcome);
    } catch (error) {
      if (!(error instanceof BusError) || error.status !== 422) throw error;
      // what it publishes is not declared, or breaks its contract: this attempt has failed
      this.#bus._log(`${this.name} ${this.id} was refused: ${error.message}`);
      await this.#give({ outcome: "retry", reason: error.message });
    }
    this.#settled = true;
  }

  async #give(outcome) {
    try {
      const { ended, reason } = await this.#bus._ask("POST", `/v1/deliveries/${this.token}`, outcome);
      if (ended !== (ENDED[outcome.outcome] ?? outcome.outcome)) {
        this.#bus._log(`${this.name} ${this.id} ended as ${ended}: ${reason}`);
      }
    } catch (error) {
      if (!(error instanceof BusError) || ![404, 409, 410].includes(error.status)) throw error;
      this.#bus._log(`${this.name} ${this.id} comes again: ${error.message}`);
    }
  }
}

/** `ponos serve` at `http://127.0.0.1:7313`, or where `PONOS_SERVE` says: a URL, or `unix:PATH`. */
export class Bus {
  #place;
  #token;
  #patience;
  #stopping = new AbortController();
  #agent = new http.Agent({ keepAlive: true });

  constructor({ url, token, signals = true, patience = 60, log = console.error } = {}) {
    this.url = url ?? process.env.PONOS_SERVE ?? "http://127.0.0.1:7313";
    const { hostname, port } = this.url.startsWith("unix:") ? {} : new URL(this.url);
    this.#place = hostname ? { host: hostname.replace(/[[\]]/g, ""), port: port || 80 } : { socketPath: this.url.slice(5) };
    this.#token = token ?? process.env.PONOS_TOKEN;
    this.#patience = patience * 1000;
    this._log = log;
    if (signals) for (const name of ["SIGTERM", "SIGINT"]) process.once(name, () => this.stop());
  }

  /** Ends the waiting for events: `receive` gives `undefined`, loops and runs end. */
  stop() { this.#stopping.abort(); }

  /** The next event, of this queue if one is named; `undefined` once it is stopped. */
  async receive(queue) {
    const path = `/v1/receive?wait=${WAIT}s` + (queue === undefined ? "" : `&queue=${encodeURIComponent(queue)}`);
    while (!this.#stopping.signal.aborted) {
      const delivery = await this._ask("POST", path, undefined, this.#stopping.signal);
      if (delivery) return new Event(this, delivery);
    }
    return undefined;
  }

  /** Handles events, `concurrency` at a time, until it is stopped. An error has the event tried again later. */
  async run(handler, { concurrency = 1, queue } = {}) {
    const one = async () => {
      for (let event; (event = await this.receive(queue)); ) {
        try {
          await handler(event);
        } catch (error) {
          this._log(`${event.name} ${event.id} failed:`, error);
          event.retry(error);
        }
        await event.settle();
      }
    };
    await Promise.all(Array.from({ length: concurrency }, one));
  }

  /** Events one by one: each is settled when the loop goes on. One that the loop was left with is tried again later. */
  async *[Symbol.asyncIterator]() {
    for (let event; (event = await this.receive()); ) {
      let goesOn = false;
      try {
        yield event;
        goesOn = true;
      } finally {
        if (!goesOn) event.retry("its program left the loop");
        await event.settle();
      }
    }
  }

  publish(name, data, options) { return this._ask("POST", "/v1/publish", message("event", name, data, options)); }
  task(name, data, options) { return this._ask("POST", "/v1/publish", message("task", name, data, options)); }
  contracts() { return this._ask("GET", "/v1/contracts"); }

  /** Asks until there is an answer, and not for longer than `patience`. */
  async _ask(method, path, body, signal) {
    const text = body === undefined ? "" : JSON.stringify(body);
    const repeatable = path !== "/v1/publish" || body.id !== undefined || body.key !== undefined;
    const until = Date.now() + this.#patience;
    for (let pause = 100; ; pause = Math.min(pause * 2, 2000)) {
      const [status, answer] = await this.#once(method, path, text, signal).catch((error) => [
        0, { code: "unreachable", detail: `ponos serve at ${this.url}: ${error.message}` },
      ]);
      if (status >= 200 && status < 300) return answer;
      if (signal?.aborted) return undefined;
      const mayComeRight = [429, 503].includes(status) || (repeatable && [0, 504].includes(status));
      if (!mayComeRight || Date.now() + pause > until) throw new BusError(status, answer?.code, answer?.detail);
      await sleep(pause);
    }
  }

  #once(method, path, text, signal) {
    const headers = { host: "localhost", "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    return new Promise((resolve, reject) => {
      const options = { ...this.#place, method, path, headers, signal, agent: this.#agent, timeout: (WAIT + 70) * 1000 };
      const request = http.request(options, async (response) => {
        try {
          const read = Buffer.concat(await response.toArray()).toString();
          resolve([response.statusCode, read ? JSON.parse(read) : undefined]);
        } catch (error) {
          reject(error);
        }
      });
      request.on("error", reject).on("timeout", () => request.destroy(new Error("no answer in time")));
      request.end(text);
    });
  }

  /** Closes its connections. */
  close() { this.#agent.destroy(); }
}

// Events and tasks from RabbitMQ, through `ponos serve` beside this program. Standard library only; index.d.ts has the types.
import { randomUUID } from "node:crypto";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const WAIT = 20; // seconds of one long poll
const REMEMBERED = 600_000; // milliseconds for which `ponos serve` knows what became of a delivery
const ENDED = { retry: "retried", snooze: "snoozed", release: "released", skip: "skipped" };

/** `ponos serve` refused something, or can't be reached; `status` is 0 then. */
export class BusError extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { name: "BusError", status, code });
  }
}

const span = (time) => (typeof time === "number" ? `${Math.max(0, Math.round(time * 1000))}ms` : time);
/** As JSON, at once: what can't be written is an error of whoever publishes it. */
const message = (kind, name, data, { at, delay, ...more } = {}) => JSON.stringify({
  [kind]: name, data: data ?? null, at: at instanceof Date ? at.toISOString() : at, in: span(delay), ...more,
});
/** A reason that can be sent, whatever it is. */
const words = (reason) => {
  try {
    return String(reason).slice(0, 4000).toWellFormed();
  } catch {
    return "an error whose text can't be made";
  }
};
const place = (url) => {
  if (url.startsWith("unix:") && url.length > 5) return { socketPath: url.slice(5) };
  const { protocol, hostname, port, pathname, search, username } = URL.canParse(url) ? new URL(url) : {};
  if (protocol !== "http:" || pathname !== "/" || search || username) {
    throw new TypeError("the place of ponos serve is written http://127.0.0.1:7313 or unix:PATH");
  }
  return { host: hostname.replace(/[[\]]/g, ""), port: port || 80 };
};

/** One delivery. What it publishes is sent when it is done. */
export class Event {
  #bus;
  #publish = [];
  #outcome = { outcome: "done" };
  #settled = false;

  constructor(bus, delivery) {
    this.#bus = bus;
    const { event, ...rest } = delivery;
    if (!rest.token || !event?.id) throw new BusError(0, "unreadable", `what listens at ${bus.url} is not ponos serve`);
    Object.assign(this, rest, { attributes: event, id: event.id, name: event.type, data: event.data });
  }

  publish(name, data, options) { this.#publish.push(message("event", name, data, options)); }
  task(name, data, options) { this.#publish.push(message("task", name, data, options)); }
  dead(reason) { this.#outcome = { outcome: "dead", reason: words(reason) }; }
  retry(reason, after) { this.#outcome = { outcome: "retry", reason: words(reason), after: span(after) }; }
  snooze(after, reason) { this.#outcome = { outcome: "snooze", after: span(after), reason: reason && words(reason) }; }
  release() { this.#outcome = { outcome: "release" }; }
  skip() { this.#outcome = { outcome: "skip" }; }

  async extend(by) {
    const path = `/v1/deliveries/${this.token}/extend`;
    this.deadline = (await this.#bus._ask("POST", path, JSON.stringify({ by: span(by) }))).deadline ?? this.deadline;
  }

  /** Settles it now, as it was decided; `bus.run` and the loop do so by themselves. */
  async settle() {
    if (this.#settled) return;
    try {
      await this.#give(this.#outcome, this.#publish);
    } catch (error) {
      if (!(error instanceof BusError) || ![400, 413, 422].includes(error.status)) throw error;
      // what it publishes is not declared, breaks its contract, or is too much: this attempt has failed
      this.#bus._log(`${this.name} ${this.id} was refused: ${error.message}`);
      await this.#give({ outcome: "retry", reason: words(error.message) });
    }
    this.#settled = true;
  }

  async #give(outcome, publish = []) {
    const text = JSON.stringify(outcome);
    const isDone = outcome.outcome === "done" && publish.length > 0;
    const body = isDone ? `${text.slice(0, -1)},"publish":[${publish.join(",")}]}` : text;
    try {
      const { ended, reason } = await this.#bus._ask("POST", `/v1/deliveries/${this.token}`, body);
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
  #signals = [];

  constructor({ url, token, signals = true, patience = 60, log = console.error } = {}) {
    this.url = url ?? (process.env.PONOS_SERVE || "http://127.0.0.1:7313");
    this.#place = place(this.url);
    this.#token = token ?? process.env.PONOS_TOKEN;
    this.#patience = patience * 1000;
    this._log = log;
    if (signals) this.#signals = ["SIGTERM", "SIGINT"].map((name) => [name, () => this.stop()]);
    for (const [name, stop] of this.#signals) process.on(name, stop);
  }

  /** Ends the waiting for events: `receive` gives `undefined`, loops and runs end. The next signal kills. */
  stop() {
    this.#unlisten();
    this.#stopping.abort();
  }

  #unlisten() {
    for (const [name, stop] of this.#signals) process.off(name, stop);
  }

  /** The next event, of this queue if one is named; `undefined` once it is stopped. */
  receive(queue) { return this.#next(queue, this.#stopping.signal); }

  async #next(queue, signal) {
    const path = `/v1/receive?wait=${WAIT}s` + (queue === undefined ? "" : `&queue=${encodeURIComponent(queue)}`);
    while (!signal.aborted) {
      const delivery = await this._ask("POST", path, "", signal);
      if (delivery) return new Event(this, delivery);
    }
    return undefined;
  }

  /** Handles events, `concurrency` at a time, until it is stopped. An error has the event tried again later. */
  async run(handler, { concurrency = 1, queue } = {}) {
    // when one lane fails the others end too, once they have settled what they have
    const lanes = new AbortController();
    const end = () => lanes.abort();
    const one = async () => {
      for (let event; (event = await this.#next(queue, lanes.signal)); ) {
        try {
          await handler(event);
        } catch (error) {
          this._log(`${event.name} ${event.id} failed:`, error);
          event.retry(error);
        }
        await event.settle();
      }
    };
    if (this.#stopping.signal.aborted) return;
    this.#stopping.signal.addEventListener("abort", end);
    const running = Array.from({ length: concurrency }, () => one().finally(end));
    const failed = (await Promise.allSettled(running)).find(({ status }) => status === "rejected");
    this.#stopping.signal.removeEventListener("abort", end);
    if (failed) throw failed.reason;
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

  publish(name, data, options) { return this.#send("event", name, data, options); }
  task(name, data, options) { return this.#send("task", name, data, options); }
  contracts() { return this._ask("GET", "/v1/contracts"); }

  async #send(kind, name, data, { id, key, ...options } = {}) {
    // with one of them, an answer that was lost can be asked for again
    const named = key == null ? { id: id ?? randomUUID() } : { key, id: id ?? undefined };
    return this._ask("POST", "/v1/publish", message(kind, name, data, { ...options, ...named }));
  }

  /** Asks until there is an answer, and not for longer than `patience`. All that is asked may be asked again. */
  async _ask(method, path, text = "", signal = undefined) {
    const begun = Date.now();
    let until = begun + this.#patience;
    for (let pause = 100; ; pause = Math.min(pause * 2, 2000)) {
      const [status, answer] = await this.#once(method, path, text, signal).catch((error) => [
        0, { code: "unreachable", detail: `ponos serve at ${this.url}: ${error.message}` },
      ]);
      if (status >= 200 && status < 300) return answer;
      if (signal?.aborted) return undefined;
      // it is being carried out, which can't be waited for in one request
      const longest = begun + Math.max(this.#patience, REMEMBERED);
      if (answer?.code === "settling") until = Math.min(Date.now() + this.#patience, longest);
      if (![0, 429, 503, 504].includes(status) || Date.now() + pause > until) {
        throw new BusError(status, answer?.code ?? "", answer?.detail ?? `ponos serve answered ${status}`);
      }
      await sleep(pause);
      if (signal?.aborted) return undefined;
    }
  }

  #once(method, path, text, signal) {
    const headers = { host: "localhost", "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    return new Promise((resolve, reject) => {
      const options = { ...this.#place, method, path, headers, agent: this.#agent, timeout: (WAIT + 70) * 1000 };
      const request = http.request(options, async (response) => {
        // an answer that has begun is read to its end
        signal?.removeEventListener("abort", stop);
        try {
          const read = Buffer.concat(await response.toArray()).toString();
          resolve(this.#read(response.statusCode, read));
        } catch (error) {
          reject(error);
        }
      });
      // by halves, so that an event that is on its way still comes
      const stop = () => (request.socket ? request.socket.end() : request.destroy(new Error("stopped")));
      signal?.addEventListener("abort", stop);
      request.on("error", reject).on("timeout", () => request.destroy(new Error("no answer in time")));
      request.on("close", () => signal?.removeEventListener("abort", stop));
      request.end(text);
    });
  }

  #read(status, text) {
    let answer;
    try {
      answer = text && JSON.parse(text);
    } catch {
      answer = undefined;
    }
    const isObject = typeof answer === "object" && answer !== null && !Array.isArray(answer);
    if (status === 204) return [status, undefined];
    if (isObject || status < 200 || status > 299) return [status, isObject ? answer : undefined];
    return [0, { code: "unreadable", detail: `what listens at ${this.url} is not ponos serve` }];
  }

  /** Closes its connections, and listens to signals no more. */
  close() {
    this.#unlisten();
    this.#agent.destroy();
  }
}

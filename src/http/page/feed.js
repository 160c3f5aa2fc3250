/**
 * The feed of events, followed by `fetch`: an `EventSource` can't show a token. After a break it goes on where it was.
 */

import { address, headers, refusal } from "./api.js";

/** Lines and data of one event, in characters, at most. */
const LONGEST = 1 << 20;
/** The clock says something at least every 15 s: after so much silence the connection is taken as lost. */
const SILENCE = 60_000;
/** Between two attempts, in ms: twice as long each time, up to a longest. */
const WAIT = 1_000;
const LONGEST_WAIT = 30_000;

/** @typedef {{ id: string, event: string, data: string }} Message */

/**
 * Follows the feed until the signal.
 *
 * @param {{ match?: string, after?: string, signal: AbortSignal, onMessage: (message: Message) => void, onState: (words: string, lives: boolean) => void }} how
 */
export async function follow({ match, after, signal, onMessage, onState }) {
  let wait = WAIT;
  const place = { id: after ?? "" };
  while (!signal.aborted) {
    try {
      await once(match, place, signal, onMessage, () => {
        wait = WAIT;
        onState("live", true);
      });
      onState("the feed ended; connecting again", false);
    } catch (error) {
      if (signal.aborted) return;
      onState(`${error instanceof Error ? error.message : error}; trying again in ${Math.round(wait / 1000)} s`, false);
    }
    await rest(wait, signal);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/**
 * @param {string | undefined} match
 * @param {{ id: string }} place
 * @param {AbortSignal} signal
 * @param {(message: Message) => void} onMessage
 * @param {() => void} onOpen
 */
async function once(match, place, signal, onMessage, onOpen) {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE);
  try {
    const more = { Accept: "text/event-stream", ...(place.id ? { "Last-Event-ID": place.id } : {}) };
    const until = AbortSignal.any([signal, silent.signal]);
    const answer = await fetch(address("v1/feed", { match }), { headers: headers(more), signal: until, cache: "no-store", redirect: "error" });
    if (!answer.ok || !answer.body) throw await refusal(answer);
    onOpen();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
      for (const message of parser.take(value)) onMessage(message);
      place.id = parser.id || place.id;
    }
  } catch (error) {
    if (silent.signal.aborted) throw new Error("the feed fell silent");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Reads server-sent events (WHATWG HTML, §9.2.6), however they are cut. */
export class Parser {
  /** The last id of an event that is whole. */
  id = "";
  #rest = "";
  /** @type {{ id: string, event: string, data: string[] }} */
  #next = { id: "", event: "", data: [] };

  /**
   * @param {string} text
   * @returns {Message[]} those that became whole
   */
  take(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length + this.#next.data.reduce((sum, line) => sum + line.length, 0) > LONGEST) {
      throw new Error("the feed has an event that is too long");
    }
    return lines.flatMap((line) => this.#line(line) ?? []);
  }

  /** @param {string} line */
  #line(line) {
    const next = this.#next;
    if (line === "") {
      this.id = next.id;
      const { event, data } = next;
      this.#next = { id: next.id, event: "", data: [] };
      return data.length ? { id: next.id, event: event || "message", data: data.join("\n") } : null;
    }
    const at = line.indexOf(":");
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (field === "event") next.event = value;
    else if (field === "data") next.data.push(value);
    else if (field === "id" && !value.includes("\0")) next.id = value;
    return null;
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function rest(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}

/**
 * The feed of events, followed by `fetch`: an `EventSource` can't show a token. After a break it goes on where it was.
 */

import { Refused, address, headers, refusal, tell } from "./api.js";

/** Lines and data of one event, in characters, at most. */
const LONGEST = 1 << 20;
/** The clock says something at least every 15 s: after so much silence the connection is taken as lost. */
const SILENCE = 60_000;
/** Between two attempts, in ms: twice as long each time, up to a longest. */
const WAIT = 1_000;
const LONGEST_WAIT = 30_000;
/** What was open for so long, in ms, or had a message, is begun again soon. */
const LIVED = 10_000;

/** @typedef {{ id: string, event: string, data: string }} Message */

/** @typedef {{ match?: string, after?: string, signal: AbortSignal, onMessage: (message: Message) => void, onState: (words: string, lives: boolean) => void }} Following */

/**
 * Follows the feed until the signal; not while the page is hidden, for browsers have few connections to one place, and clocks few feeds.
 *
 * @param {Following} how
 */
export async function follow({ match, after, signal, onMessage, onState }) {
  let wait = WAIT;
  const place = { id: after ?? "" };
  for (;;) {
    await seen(signal);
    if (signal.aborted) return;
    const hidden = new AbortController();
    const hide = () => void (document.hidden && hidden.abort());
    document.addEventListener("visibilitychange", hide);
    const begun = Date.now();
    let lives = false;
    const take = (/** @type {Message} */ message) => {
      lives = true;
      // It is behind us also where it can't be shown.
      place.id = message.id || place.id;
      try {
        onMessage(message);
      } catch (error) {
        onState(`an event can't be shown: ${error instanceof Error ? error.message : error}`, false);
      }
    };
    try {
      await once(match, place.id, AbortSignal.any([signal, hidden.signal]), take, () => onState("live", true));
      onState("the feed ended; connecting again", false);
    } catch (error) {
      if (signal.aborted) return;
      const why = error instanceof Error ? error.message : String(error);
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
        onState(why, false);
        if (error.wantsToken) tell(error);
        return;
      }
      onState(hidden.signal.aborted ? "rests while the page is hidden" : `${why}; trying again in ${Math.round(wait / 1000)} s`, false);
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    if (lives || hidden.signal.aborted || Date.now() - begun >= LIVED) wait = WAIT;
    if (!hidden.signal.aborted) await rest(wait, signal);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/**
 * @param {string | undefined} match
 * @param {string} after
 * @param {AbortSignal} signal
 * @param {(message: Message) => void} onMessage
 * @param {() => void} onOpen
 */
async function once(match, after, signal, onMessage, onOpen) {
  const ends = new AbortController();
  let isSilent = false;
  const fallSilent = () => {
    isSilent = true;
    ends.abort();
  };
  let timer = setTimeout(fallSilent, SILENCE);
  try {
    const more = { Accept: "text/event-stream", ...(after ? { "Last-Event-ID": after } : {}) };
    const until = AbortSignal.any([signal, ends.signal]);
    const answer = await fetch(address("v1/feed", { match }), { headers: headers(more), signal: until, cache: "no-store", redirect: "error" });
    if (!answer.ok || !answer.body) throw await refusal(answer);
    onOpen();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(fallSilent, SILENCE);
      for (const message of parser.take(value)) onMessage(message);
    }
  } catch (error) {
    if (isSilent) throw new Error("the feed fell silent");
    throw error;
  } finally {
    clearTimeout(timer);
    // However it ended, its connection is not kept.
    ends.abort();
  }
}

/**
 * Waits until the page is seen, or until the signal.
 *
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function seen(signal) {
  return new Promise((done) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      done();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });
}

/** Reads server-sent events (WHATWG HTML, §9.2.6), however they are cut. */
export class Parser {
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
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}

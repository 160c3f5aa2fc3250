/**
 * What is asked of the clock: relative to the document, so that any prefix will do; with the token, if there is one; and no
 * longer than a while.
 */

import { token } from "./session.js";

/** How long an answer may take, in ms: longer than the clock lets itself take, also where a follower asks the leader. */
const READ_LIMIT = 20_000;
/** The same of a change, of which the clock itself says what is known where it takes long. */
const CHANGE_LIMIT = 35_000;

/** What is asked while a view is shown is refused for want of a token: it was replaced, or has run out. The event is `refused`. */
export const refusals = new EventTarget();

/** @typedef {Record<string, string | number | boolean | null | undefined>} Query */

/** A problem document (RFC 9457), or that no answer came. */
export class Refused extends Error {
  /**
   * @param {number} status 0 where no answer came
   * @param {string} code for programs
   * @param {string} detail for people
   */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** Whether a token would help, or another one. */
  get wantsToken() {
    return this.status === 401;
  }
}

/**
 * The address of something of the clock.
 *
 * @param {string} path
 * @param {Query} [query] what is empty is left out
 */
export function address(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

/**
 * @param {Record<string, string>} [more]
 * @param {string | null} [known] the token that is shown
 */
export function headers(more = {}, known = token()) {
  return { Accept: "application/json", ...(known ? { Authorization: `Bearer ${known}` } : {}), ...more };
}

/**
 * Reads something.
 *
 * @param {string} path such as `v1/schedules`
 * @param {{ query?: Query, signal?: AbortSignal, also?: number, limit?: number, as?: string }} [how] `also`: a status that is no
 *   refusal; `limit`: in ms; `as`: with this token, which is not known to be one
 * @returns {Promise<any>}
 */
export async function read(path, { query, signal, also, limit, as } = {}) {
  return ask(address(path, query), { headers: headers({}, as) }, { signal, also, limit: limit ?? READ_LIMIT, isTried: as !== undefined });
}

/**
 * Changes something.
 *
 * @param {"POST" | "DELETE"} method
 * @param {string} path
 * @param {{ body?: unknown, key?: string, match?: string, signal?: AbortSignal, isDry?: boolean }} [how] `key`: by which it may be
 *   sent again; `match`: the revision that is meant; `isDry`: it only says what it would do
 * @returns {Promise<any>}
 */
export async function change(method, path, { body, key, match, signal, isDry = false } = {}) {
  const more = {
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    ...(key ? { "Idempotency-Key": key } : {}),
    ...(match ? { "If-Match": match } : {}),
  };
  const written = body === undefined ? undefined : JSON.stringify(body);
  return ask(address(path), { method, headers: headers(more), body: written }, { signal, limit: isDry ? READ_LIMIT : CHANGE_LIMIT, changes: !isDry });
}

/** What is said of a change whose answer did not come. */
const UNKNOWN = "whether it is done is not known; see what is there before you ask again";

/**
 * @param {URL} url
 * @param {RequestInit} request
 * @param {{ signal?: AbortSignal, also?: number, limit: number, isTried?: boolean, changes?: boolean }} how
 */
async function ask(url, request, { signal, also, limit: most, isTried = false, changes = false }) {
  const limit = AbortSignal.timeout(most);
  const until = signal ? AbortSignal.any([signal, limit]) : limit;
  try {
    const answer = await fetch(url, { ...request, signal: until, cache: "no-store", credentials: "same-origin", redirect: "error" });
    if (answer.status === 204) return null;
    if (!answer.ok && answer.status !== also) throw await refusal(answer);
    return await answer.json();
  } catch (error) {
    if (error instanceof Refused && error.wantsToken && !isTried) tell(error);
    if (error instanceof Refused || signal?.aborted) throw error;
    const why = limit.aborted ? `the clock did not answer within ${most / 1000} s` : "the clock can't be reached from here, or something before it answers instead";
    throw new Refused(0, "unreachable", changes ? `${why}: ${UNKNOWN}` : why);
  }
}

/**
 * Has the frame ask for a token.
 *
 * @param {Refused} error
 */
export function tell(error) {
  refusals.dispatchEvent(new CustomEvent("refused", { detail: error }));
}

/**
 * Why an answer is none.
 *
 * @param {Response} answer
 */
export async function refusal(answer) {
  const problem = await answer.json().catch(() => null);
  const detail = typeof problem?.detail === "string" ? problem.detail : `the answer was ${answer.status} ${answer.statusText}`;
  return new Refused(answer.status, String(problem?.code ?? "other"), detail);
}

/**
 * A name as a part of a path.
 *
 * @param {string | number} name
 */
export function part(name) {
  return encodeURIComponent(name);
}

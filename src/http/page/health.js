/** How the clock is, whichever view is shown: the light beside its name, and its time. */

import { Refused, read } from "./api.js";
import { byId } from "./dom.js";
import { setClockTime } from "./time.js";

/**
 * Asks the clock how it is, and has the light say so.
 *
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} what `/readyz` answers; without a token, where one is wanted, only whether it is ready
 */
export async function health(signal) {
  try {
    const ready = await read("readyz", { signal, also: 503 });
    // Something else than how it is: it can't even tell.
    if (!Array.isArray(ready?.reasons)) throw new Refused(503, String(ready?.code ?? "other"), String(ready?.detail ?? "it does not say how it is"));
    if (ready.now) setClockTime(ready.now);
    among(ready);
    byId("clock-name").textContent = ready.clock;
    light(mood(ready));
    return ready;
  } catch (error) {
    if (!signal?.aborted) light("bad");
    throw error;
  }
}

/**
 * @param {any} ready
 * @returns {"good" | "busy" | "bad"}
 */
export function mood(ready) {
  if (!ready.ready) return "bad";
  if (follows(ready)) return "good";
  return ready.paused || ready.warnings?.length || ready.outstanding || ready.parked ? "busy" : "good";
}

/**
 * Whether it is one of several clocks, and another one leads: then nothing else that it says of itself is of the clock that sends.
 *
 * @param {any} ready
 */
export function follows(ready) {
  return ready.role === "follower";
}

/**
 * What is of several clocks is there where there are several.
 *
 * @param {any} ready
 */
function among(ready) {
  for (const link of byId("views").querySelectorAll("[data-view=cluster]")) link.toggleAttribute("hidden", !ready.role);
}

/** @param {"good" | "busy" | "bad"} color */
function light(color) {
  const said = { good: "time is kept", busy: "something needs a look", bad: "time is not kept, or the clock does not answer" }[color];
  const dot = byId("dot");
  dot.className = `dot ${color}`;
  dot.title = said;
  const words = byId("dot-words");
  if (words.textContent !== said) words.textContent = said;
}

/** How late events are of late: of the record, as far as it goes, and then of the feed. */

import { clockTime, lasting, moment } from "./time.js";

/** Events that are kept, at most. */
const KEPT = 200;
/** What is older, in ms, says nothing of how it is now. */
const RECENT = 300_000;
/** Half of them this late, in ms, are a reason to look. */
const ALARMING = 1_000;

export class Lateness {
  /** The newest last. @type {{ at: string, late: number }[]} */
  #all = [];

  /**
   * One more was sent.
   *
   * @param {unknown} at
   * @param {unknown} late in ms
   */
  take(at, late) {
    if (typeof at !== "string" || typeof late !== "number") return;
    this.#all.push({ at, late });
    if (this.#all.length > KEPT) this.#all.shift();
  }

  /** @returns {{ value: string, about: import("./dom.js").Child[], alarms: boolean }} */
  shown() {
    const recent = this.#all.filter(({ at }) => clockTime() - Date.parse(at) < RECENT).map(({ late }) => late);
    const [last, first] = [this.#all.at(-1), this.#all[this.#all.length - recent.length]];
    if (!last) return { value: "none yet", about: ["nothing was sent yet"], alarms: false };
    if (!first) return { value: lasting(last.late), about: ["of the last one, sent ", moment(last.at)], alarms: false };
    recent.sort((one, other) => one - other);
    const half = recent[Math.floor(recent.length / 2)] ?? 0;
    const about = [`half of the last ${recent.length}, since `, moment(first.at), `; the latest ${lasting(recent.at(-1) ?? 0)}`];
    return { value: lasting(half), about, alarms: half > ALARMING };
  }
}

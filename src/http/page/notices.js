/** What was done, or went wrong, said for a while in a corner, and to readers of screens. */

import { byId, h } from "./dom.js";

/** How long a notice stays, in ms. */
const STAYS = 8_000;
/** How many stay at once. */
const MOST = 4;

/**
 * @param {string} text
 * @param {"good" | "bad"} [mood]
 */
export function notice(text, mood = "good") {
  const all = byId("notices");
  const one = h("p", { class: `notice ${mood}` }, text);
  all.append(one);
  while (all.childElementCount > MOST) all.firstElementChild?.remove();
  setTimeout(() => one.remove(), STAYS);
}

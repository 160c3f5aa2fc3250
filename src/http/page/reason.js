/** What calendars and changes of the clocks made of a time, in words: those of `khronos next`. */

/**
 * @typedef {object} Why
 * @property {string} named the time on the wall clock, `2026-12-25T09:00:00`
 * @property {any} day `kept`, or an object with what became of the day
 * @property {string} clock
 * @property {string | null} due
 */

/** @param {Why} why */
export function reason(why) {
  const { "left-out": leftOut, moved, stranded } = why.day;
  const parts = [];
  if (leftOut) parts.push(`left out: ${causes(leftOut.because)}`);
  if (moved) parts.push(`moved from ${why.named.slice(0, 10)} (${causes(moved.because)})`);
  if (stranded) parts.push(`left out: ${causes(stranded.because)}, and no business day is near`);
  const fate = why.due === null ? "left out: " : "";
  const time = (moved ? moved.to : why.named).slice(11).replace(/:00$/, "");
  if (why.clock === "gap") parts.push(`${fate}${time} does not exist that day`);
  if (why.clock === "first-pass") parts.push("first of two passes");
  if (why.clock === "second-pass") parts.push("second of two passes");
  if (why.clock === "nowhere") parts.push(`${fate}the calendar there skips that day`);
  return parts.join("; ");
}

/** @param {(string | { "excluded-by"?: string, "not-in"?: string })[]} because */
function causes(because) {
  const said = because.map((cause) => {
    if (typeof cause === "string") return cause === "weekend" ? "a weekend" : cause;
    return cause["excluded-by"] ? `excluded by ${cause["excluded-by"]}` : `not in ${cause["not-in"]}`;
  });
  return said.join(", ");
}

/**
 * Who reads this page: the token, which is kept for this tab until it is closed, and what the clock says of its owner.
 */

/** Several clocks may stand behind one host, each at a path of its own: a token is for one of them. */
const KEY = `khronos-token ${new URL(".", document.baseURI).pathname}`;
/** Each role may do what those before it may. */
const ROLES = ["read", "operate", "write", "admin"];

/**
 * @typedef {object} Caller
 * @property {string} owner
 * @property {string} role
 * @property {boolean} has_token
 * @property {string[]} domains
 * @property {string[]} tasks
 */

/** @type {Caller | null} */
let known = null;

/** @returns {string | null} */
export function token() {
  return sessionStorage.getItem(KEY);
}

/** @param {string | null} text none: it is forgotten */
export function keepToken(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

/** @param {Caller | null} caller */
export function setCaller(caller) {
  known = caller;
}

/** @returns {Caller | null} */
export function caller() {
  return known;
}

/**
 * Whether the caller's role reaches so far; whether the domain does, the clock says.
 *
 * @param {"read" | "operate" | "write" | "admin"} role
 */
export function may(role) {
  return known !== null && ROLES.indexOf(known.role) >= ROLES.indexOf(role);
}

/** Whether nothing is outside of the caller's domains. */
export function mayEverything() {
  return may("operate") && known !== null && known.domains.includes("#");
}

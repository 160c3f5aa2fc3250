/**
 * A question before something is changed: what it would do is worked out and shown first, anew as the fields are edited.
 */

import { Refused } from "./api.js";
import { calm, h, show } from "./dom.js";
import { notice } from "./notices.js";

/** For how long what was worked out counts, in ms: then it is worked out once more before anything is done. */
const FRESH = 10_000;
const CHANGED = "What it would do has changed meanwhile: look at it, and press again.";

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [hint]
 * @property {string} [value] what stands there at first
 * @property {boolean} [required]
 * @property {boolean} [isAside] what it would do does not depend on it
 * @property {[number, number]} [range] a number is asked for, from here through there
 * @property {[string, string][]} [choices] words and what they mean; without them, a text is asked for
 */

/**
 * @typedef {object} Preview
 * @property {import("./dom.js").Child | import("./dom.js").Child[]} says
 * @property {boolean} [possible] false: there is nothing to do
 * @property {unknown} [kept] given to `run`
 */

/**
 * @typedef {object} Action
 * @property {string} title
 * @property {string} verb what the button says
 * @property {boolean} [danger] it can't be undone
 * @property {Field[]} [fields]
 * @property {(values: Record<string, string>, signal: AbortSignal) => Promise<Preview>} preview
 * @property {(values: Record<string, string>, kept: any) => Promise<string>} run does it, and says what was done
 */

/**
 * Asks, and does it if that is wanted.
 *
 * @param {Action} action
 * @returns {Promise<boolean>} whether it was done
 */
export function ask(action) {
  const fields = (action.fields ?? []).map(input);
  const says = h("div", { class: "preview", "aria-live": "polite" });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const go = h("button", { type: "submit", class: action.danger ? "danger" : "main" }, action.verb);
  const stop = h("button", { type: "button" }, "Cancel");
  const form = h("form", {}, h("h2", {}, action.title), fields.map((field) => field.whole), says, wrong, h("div", { class: "buttons" }, stop, go));
  const dialog = h("dialog", { "aria-label": action.title }, form);
  const values = () => Object.fromEntries(fields.map(({ name, control }) => [name, control.value.trim()]));
  /** @type {unknown} */
  let kept;
  let [isPossible, isWorkedOut, runs, at] = [false, false, false, 0];
  let last = new AbortController();

  const allow = () => {
    const isWhole = fields.every(({ control }) => control.value.trim() !== "" || !control.required);
    go.disabled = runs || !isWorkedOut || !isPossible || !isWhole;
  };
  const look = async () => {
    if (runs) return;
    last.abort();
    const { signal } = (last = new AbortController());
    isWorkedOut = false;
    allow();
    try {
      const preview = await action.preview(values(), signal);
      if (signal.aborted) return;
      kept = preview.kept;
      show(wrong);
      show(says, preview.says);
      isPossible = preview.possible !== false;
    } catch (error) {
      if (signal.aborted) return;
      show(says);
      show(wrong, words(error));
      isPossible = false;
    }
    [isWorkedOut, at] = [true, Date.now()];
    allow();
  };
  /** Whether it would still do what was shown. */
  const isSame = async () => {
    if (Date.now() - at < FRESH) return true;
    const before = says.textContent;
    await look();
    if (!dialog.open || !isPossible) return false;
    if (says.textContent !== before) show(wrong, CHANGED);
    return says.textContent === before;
  };
  /** What goes on is not changed any more. @param {boolean} is */
  const running = (is) => {
    runs = is;
    for (const { control } of fields) control.disabled = is;
    stop.disabled = is;
    form.setAttribute("aria-busy", String(is));
    allow();
  };

  return new Promise((done) => {
    let was = false;
    stop.addEventListener("click", () => dialog.close());
    dialog.addEventListener("cancel", (event) => void (runs && event.preventDefault()));
    dialog.addEventListener("close", () => {
      last.abort();
      dialog.remove();
      // Browsers let a person close it all the same: what became of it is said, and who asked is told then.
      if (!runs) done(was);
    });
    const anew = calm(look, 250);
    form.addEventListener("input", ({ target }) => {
      const field = fields.find(({ control }) => control === target);
      if (!field?.isAside) {
        // What was worked out, or still is, is of other words.
        last.abort();
        isWorkedOut = false;
        anew();
      }
      allow();
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go.disabled || !(await isSame()) || go.disabled) return;
      running(true);
      try {
        notice(await action.run(values(), kept));
        was = true;
        runs = false;
      } catch (error) {
        if (dialog.open) show(wrong, words(error));
        else notice(`${action.title}: ${words(error)}`, "bad");
        running(false);
      }
      if (was) dialog.close();
      if (!dialog.isConnected) done(was);
    });
    document.body.append(dialog);
    dialog.showModal();
    void look();
  });
}

/**
 * What went wrong, for people.
 *
 * @param {unknown} error
 */
export function words(error) {
  if (error instanceof Refused || error instanceof Error) return error.message;
  return String(error);
}

/** @param {Field} field */
function input(field) {
  const shared = { name: field.name, id: `field-${field.name}`, required: field.required ?? false };
  const hint = field.hint ? h("small", { id: `hint-${field.name}` }, field.hint) : null;
  const described = hint ? { "aria-describedby": hint.id } : {};
  const control = field.choices
    ? h("select", { ...shared, ...described }, field.choices.map(([value, label]) => h("option", { value, selected: value === field.value }, label)))
    : field.range
      ? h("input", { ...shared, ...described, type: "number", min: field.range[0], max: field.range[1], value: field.value ?? "" })
      : h("input", { ...shared, ...described, type: "text", autocomplete: "off", spellcheck: "false", value: field.value ?? "" });
  const whole = h("div", { class: "field" }, h("label", { for: shared.id }, field.label), control, hint);
  return { name: field.name, control, whole, isAside: field.isAside ?? false };
}

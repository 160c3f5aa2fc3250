/**
 * A question before something is changed: what it would do is worked out and shown first, anew as the fields are edited.
 */

import { Refused } from "./api.js";
import { calm, h, show } from "./dom.js";
import { notice } from "./notices.js";

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [hint]
 * @property {string} [value] what stands there at first
 * @property {boolean} [required]
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
  let last = new AbortController();

  const look = async () => {
    last.abort();
    const { signal } = (last = new AbortController());
    go.disabled = true;
    try {
      const preview = await action.preview(values(), signal);
      if (signal.aborted) return;
      kept = preview.kept;
      show(wrong);
      show(says, preview.says);
      go.disabled = preview.possible === false;
    } catch (error) {
      if (signal.aborted) return;
      show(says);
      show(wrong, words(error));
    }
  };

  return new Promise((done) => {
    let was = false;
    stop.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      last.abort();
      dialog.remove();
      done(was);
    });
    form.addEventListener("input", calm(look, 250));
    form.addEventListener("input", () => {
      // What was worked out, or still is, is of other words.
      last.abort();
      go.disabled = true;
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go.disabled) return;
      go.disabled = true;
      try {
        const said = await action.run(values(), kept);
        was = true;
        notice(said);
        dialog.close();
      } catch (error) {
        show(wrong, words(error));
        go.disabled = false;
      }
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
    : h("input", { ...shared, ...described, type: "text", autocomplete: "off", spellcheck: "false", value: field.value ?? "" });
  const whole = h("div", { class: "field" }, h("label", { for: shared.id }, field.label), control, hint);
  return { name: field.name, control, whole };
}

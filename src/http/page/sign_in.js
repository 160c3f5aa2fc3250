/** Takes a token for this tab, or has it forgotten. */

import { Refused, read } from "./api.js";
import { h, show } from "./dom.js";
import { words } from "./dialog.js";
import { keepToken, token } from "./session.js";

/** @returns {Promise<boolean>} whether something changed */
export function signIn() {
  const former = token();
  const input = h("input", { type: "password", id: "token", autocomplete: "one-time-code", spellcheck: "false", "aria-describedby": "token-hint" });
  const hint = h("small", { id: "token-hint" }, "Kept for this tab, until it is closed. khronos token new makes one.");
  const wrong = h("p", { class: "wrong", role: "alert" });
  const stop = h("button", { type: "button" }, "Cancel");
  const forget = former ? h("button", { type: "button", class: "danger" }, "Sign out") : null;
  const go = h("button", { type: "submit", class: "main" }, "Use it");
  const field = h("div", { class: "field" }, h("label", { for: "token" }, "Token"), input, hint);
  const form = h("form", {}, h("h2", {}, former ? "Another token, or none" : "A token of this clock"), field, wrong, h("div", { class: "buttons" }, stop, forget, go));
  const dialog = h("dialog", { "aria-label": "Token" }, form);
  return new Promise((done) => {
    let changed = false;
    const end = (/** @type {string | null} */ token) => {
      keepToken(token);
      changed = true;
      dialog.close();
    };
    stop.addEventListener("click", () => dialog.close());
    forget?.addEventListener("click", () => end(null));
    dialog.addEventListener("close", () => (dialog.remove(), done(changed)));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const given = input.value.trim();
      if (!given || go.disabled) return;
      go.disabled = true;
      try {
        // It is kept once it is known to be one; until then nothing else is asked with it.
        const known = await read("v1/caller", { as: given });
        // A clock without tokens looks at none.
        if (!known.has_token) throw new Refused(401, "unauthenticated", "this clock does not know tokens, or not this one");
        if (dialog.open) end(given);
      } catch (error) {
        show(wrong, words(error));
      }
      go.disabled = false;
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Signing in, and the list of the files that have arrived: the same on both pages.
import { ask } from "./api.js";
import { bytes, explain } from "./words.js";

const $ = (id) => document.getElementById(id);
const WATCH_MS = 700;

export const announce = (words) => {
  $("announce").textContent = words;
};

/** Shows who is signed in, or asks. Calls `onUser` with what the app server knows of the user. */
export async function start(onUser) {
  $("sign-in").querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await ask("POST", "/login", { user: $("user").value });
      location.reload();
    } catch (error) {
      show($("sign-in-error"), error);
    }
  });
  try {
    const me = await ask("GET", "/api/me");
    const out = document.createElement("button");
    out.type = "button";
    out.textContent = "Sign out";
    out.addEventListener("click", async () => {
      await ask("POST", "/logout");
      location.reload();
    });
    $("account").replaceChildren(Object.assign(document.createElement("span"), { textContent: me.user }), out);
    $("upload").hidden = $("mine").hidden = false;
    await list();
    await onUser(me);
  } catch (error) {
    $("sign-in").hidden = false;
    if (error.code !== "not_signed_in") show($("sign-in-error"), error);
  }
}

function show(place, error) {
  const { title, hint } = explain(error);
  place.textContent = `${title} ${hint}`;
  place.hidden = false;
}

/** The files that arrived, as the app server knows by Consign's callbacks; it may know each a moment later. */
export async function list() {
  const [me, { uploads }] = await Promise.all([ask("GET", "/api/me"), ask("GET", "/api/uploads")]);
  const stored = uploads.filter(({ state }) => state === "stored");
  $("files-stored").replaceChildren(...stored.map(row));
  $("none").hidden = stored.length > 0;
  Object.assign($("space"), { max: Math.max(me.quota, 1), high: me.quota * 0.9, value: me.used });
  $("space-words").textContent = `${bytes(me.used)} of ${bytes(me.quota)} used`;
  return uploads;
}

function row({ id, name, size, stored_at: storedAt }) {
  const item = $("stored").content.cloneNode(true).firstElementChild;
  item.querySelector(".name").textContent = name;
  item.querySelector(".size").textContent = bytes(size);
  const time = item.querySelector("time");
  time.dateTime = storedAt;
  time.textContent = new Date(storedAt).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const link = item.querySelector("a");
  link.href = `/api/uploads/${id}/file`;
  link.setAttribute("aria-label", `Download ${name}`);
  return item;
}

const awaited = new Map();
let watching;

/** Resolves once the callback for this upload has arrived. */
export function recorded(id) {
  return new Promise((resolve) => {
    awaited.set(id, resolve);
    watching ??= watch();
  });
}

async function watch() {
  while (awaited.size > 0) {
    try {
      for (const { id, state } of await list()) {
        if (state === "stored") {
          awaited.get(id)?.();
          awaited.delete(id);
        }
      }
    } catch {
      // The app server is away for a moment: the callback waits, and so does this.
    }
    if (awaited.size > 0) await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  }
  watching = undefined;
}

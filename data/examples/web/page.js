// The plain page: what is chosen, what runs, what failed and why.
import { ask, begin, multipart, post, put, sign, unlessStored } from "./api.js";
import { announce, list, recorded, start } from "./account.js";
import { bytes, duration, explain } from "./words.js";

const $ = (id) => document.getElementById(id);

/** Multipart uploads that were begun, kept over a reload: which file, and which upload. */
const remembered = {
  place: () => `unfinished:${me.user}`,
  all: () => JSON.parse(localStorage.getItem(remembered.place()) ?? "[]"),
  keep: (all) => localStorage.setItem(remembered.place(), JSON.stringify(all)),
  add: (one) => remembered.keep([...remembered.all().filter(({ id }) => id !== one.id), one]),
  remove: (id) => remembered.keep(remembered.all().filter((one) => one.id !== id)),
};

const isSame = (kept, file) =>
  kept.name === file.name && kept.size === file.size && kept.lastModified === file.lastModified;

/** One upload and its place in the list. */
class Item {
  /** `kept` is what was remembered of an unfinished upload, whose file must be chosen again. */
  constructor({ file, way, kept }) {
    this.file = file;
    this.way = way;
    this.id = kept?.id;
    this.kept = kept;
    this.place = $("item").content.cloneNode(true).firstElementChild;
    this.place.querySelector(".name").textContent = (file ?? kept).name;
    for (const button of this.place.querySelectorAll("button")) {
      button.addEventListener("click", () => this[button.dataset.does]());
    }
    $("queue").append(this.place);
  }

  /** The words beside the name, and the buttons that make sense now. */
  state(state, words, ...buttons) {
    this.now = state;
    this.place.dataset.state = state;
    this.place.querySelector(".state").textContent = words;
    for (const button of this.place.querySelectorAll("button")) button.hidden = !buttons.includes(button.dataset.does);
  }

  progress(sent) {
    const total = this.file.size;
    this.place.querySelector("progress").value = sent / total;
    const now = performance.now();
    this.rate ??= { since: now, sent };
    const speed = (sent - this.rate.sent) / ((now - this.rate.since) / 1000);
    const left = speed > 0 && now - this.rate.since > 500 ? `, ${duration((total - sent) / speed)} left` : "";
    if (this.now === "running") {
      this.place.querySelector(".state").textContent = `${bytes(sent)} of ${bytes(total)}${left}`;
    }
  }

  async run() {
    this.stop = new AbortController();
    this.rate = undefined;
    this.place.querySelector(".problem").hidden = true;
    this.state("running", "Starting…", ...(this.way === "multipart" ? ["pause"] : []), "abort");
    try {
      await this.transfer({ signal: this.stop.signal, onProgress: (sent) => this.progress(sent) });
      this.place.querySelector("progress").value = 1;
      this.state("finishing", "Stored. Waiting for Consign to tell the app server…");
      await recorded(this.id);
      this.state("stored", `Stored, ${bytes(this.file.size)}`, "dismiss");
      announce(`${this.file.name} is stored.`);
    } catch (error) {
      if (this.stop.signal.aborted) return; // pause() and abort() say what is shown
      this.fail(error);
    }
  }

  async transfer(options) {
    if (this.way === "multipart") {
      if (!this.id) await this.beginMultipart(options.signal);
      await multipart(this.id, this.file, options);
      remembered.remove(this.id);
      return;
    }
    const upload = this.id
      ? await unlessStored(this.id, sign(this.id, { operation: "upload" }, options.signal))
      : await begin(this.way, this.file, options.signal);
    if (!upload) return;
    this.id = upload.id;
    await (this.way === "post" ? post : put)(upload, this.file, options);
  }

  async beginMultipart(signal) {
    const { name, size, lastModified } = this.file;
    const upload = await begin("multipart", this.file, signal);
    this.id = upload.id;
    remembered.add({ id: upload.id, name, size, lastModified });
  }

  fail(error) {
    const { title, hint, details } = explain(error);
    const over = ["no_such_upload", "not_pending", "NoSuchUpload"].includes(error.code);
    if (over) {
      remembered.remove(this.id);
      this.id = undefined; // tried again, it is a new upload
    }
    const problem = this.place.querySelector(".problem");
    problem.querySelector(".title").textContent = title;
    problem.querySelector(".hint").textContent = hint;
    problem.querySelector(".details").replaceChildren(
      ...details.flatMap(([name, value]) => [
        Object.assign(document.createElement("dt"), { textContent: name }),
        Object.assign(document.createElement("dd"), { textContent: value }),
      ]),
    );
    problem.hidden = false;
    // What the app server refused for good is not asked again by a click; everything else may be.
    const refused = error.kind === "app" && error.status < 500 && !over;
    this.state("failed", "Failed", ...(refused ? [] : ["retry"]), this.id ? "abort" : "dismiss");
  }

  pause() {
    this.stop.abort();
    this.state("paused", "Paused", "resume", "abort");
  }

  resume() {
    return this.run();
  }

  retry() {
    return this.run();
  }

  /** Shows an upload that a reload interrupted. */
  wait() {
    this.state("waiting", `Unfinished, ${bytes(this.kept.size)}`, "choose", "abort");
  }

  choose() {
    $("files").click();
  }

  /** Goes on with the file that was chosen again. */
  goOn(file) {
    this.file = file;
    return this.run();
  }

  async abort() {
    this.stop?.abort();
    if (this.id) {
      remembered.remove(this.id);
      // Consign drops the parts; a form or a PUT that was cut off left nothing.
      await ask("DELETE", `/api/uploads/${this.id}`).catch(() => {});
    }
    announce(`${(this.file ?? this.kept).name} was aborted.`);
    this.dismiss();
    list().catch(() => {});
  }

  dismiss() {
    items.delete(this);
    this.place.remove();
  }
}

const items = new Set();
let me;

function take(files) {
  const way = document.querySelector("input[name=way]:checked").value;
  for (const file of files) {
    const unfinished = [...items].find((item) => item.now === "waiting" && isSame(item.kept, file));
    if (unfinished) {
      unfinished.goOn(file);
      continue;
    }
    const item = new Item({ file, way });
    items.add(item);
    item.run();
  }
}

$("files").addEventListener("change", ({ target }) => {
  take([...target.files]);
  target.value = ""; // the same file may be chosen again
});

const drop = $("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  take([...event.dataTransfer.files]);
});

// Leaving while something runs loses it, unless it goes in parts.
addEventListener("beforeunload", (event) => {
  if ([...items].some(({ now, way }) => now === "running" && way !== "multipart")) event.preventDefault();
});

await start((user) => {
  me = user;
  $("files").accept = me.types.join(",");
  $("types").textContent = me.may_upload ? me.types.join(", ") : "You may look, but not upload.";
  for (const kept of remembered.all()) {
    const item = new Item({ way: "multipart", kept });
    items.add(item);
    item.wait();
  }
});

// What the page asks of the app server, and how the bytes reach Consign. Take this file for a page of your own.

/**
 * Why something did not work. `kind` tells who said so: "app" (the app server refused), "store" (Consign refused),
 * "network" (nobody answered, or the browser kept the answer back) or "page" (the file itself).
 */
export class UploadError extends Error {
  constructor(kind, message, detail = {}) {
    super(message);
    Object.assign(this, { kind, ...detail });
  }
}

/** Asks the app server. Returns its JSON, or nothing where it has none. */
export async function ask(method, path, body, signal) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      signal,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new UploadError("network", "The app server could not be reached.", { cause: error, peer: "app" });
  }
  const text = await answer.text();
  let json;
  try {
    json = text ? JSON.parse(text) : undefined;
  } catch {
    json = undefined; // a proxy's page of HTML, perhaps: the status is all that there is to tell
  }
  if (!answer.ok) {
    const { code = "failed", message = `The app server answered ${answer.status}.`, ...detail } = json?.error ?? {};
    throw new UploadError("app", message, { status: answer.status, code, detail });
  }
  return json;
}

/** The parts of an answer of Consign that tell why: its XML, or what is left without one. */
export function refusalOf(status, xml, requestId) {
  const error = new DOMParser().parseFromString(xml ?? "", "application/xml").querySelector("Error");
  const part = (name) => error?.querySelector(`:scope > ${name}`)?.textContent || undefined;
  return new UploadError("store", part("Message") ?? `Consign answered ${status}.`, {
    status,
    code: part("Code"),
    requestId: part("RequestId") ?? requestId ?? undefined,
    bytesMax: part("MaxSizeAllowed"),
  });
}

/** One request to Consign. `fetch` can't tell how much of a body was sent: hence XMLHttpRequest. */
export function send(method, url, { headers = {}, body, onProgress, signal } = {}) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal?.addEventListener("abort", abort, { once: true });
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (onProgress) request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    request.onabort = () => reject(signal?.reason ?? new DOMException("Aborted", "AbortError"));
    request.onerror = () => reject(new UploadError("network", "Consign could not be reached.", { peer: "store" }));
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve(request);
      // getResponseHeader warns on the console about what the bucket's CORS rules don't expose: ours does.
      reject(refusalOf(request.status, request.responseText, request.getResponseHeader("x-amz-request-id")));
    };
    request.send(body);
  });
}

/** "May I upload?" */
export const begin = (way, file, signal) =>
  ask("POST", "/api/uploads", { way, name: file.name, type: file.type, size: file.size }, signal);

/** A fresh URL for an upload that was allowed before. */
export const sign = (id, about, signal) => ask("POST", `/api/uploads/${id}/sign`, about, signal);

/** What was asked of the app server; nothing where the file has arrived, and only the answer to it was lost. */
export async function unlessStored(id, asked) {
  try {
    return await asked;
  } catch (error) {
    if (error.code !== "not_pending") throw error;
    const { uploads } = await ask("GET", "/api/uploads");
    if (uploads.some((upload) => upload.id === id && upload.state === "stored")) return undefined;
    throw error;
  }
}

/** By a form: the policy fixes the key, the type and the size. The file must be its last field. */
export function post({ url, fields }, file, { onProgress, signal }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file);
  // Progress counts the form's fields too, which nobody wants to see.
  const progress = onProgress && ((sent) => onProgress(Math.min(sent, file.size)));
  return send("POST", url, { body: form, onProgress: progress, signal });
}

/** By a presigned PUT: the URL holds for these headers and this length alone. */
export const put = ({ url, headers }, file, { onProgress, signal }) =>
  send("PUT", url, { headers, body: file, onProgress, signal });

const PARTS_AT_ONCE = 3;
const TRIES = 4;

/**
 * In parts, each by a URL of its own; those that are there already are not sent again. So this both begins and
 * resumes: after a pause, after a reload, after a failure.
 */
export async function multipart(id, file, { onProgress, signal }) {
  const there = await unlessStored(id, ask("GET", `/api/uploads/${id}/parts`, undefined, signal));
  if (!there) return;
  const { part_bytes: partBytes, parts } = there;
  const count = Math.ceil(file.size / partBytes);
  const bytesOf = (part) => Math.min(partBytes, file.size - (part - 1) * partBytes);
  const sent = new Map(parts.filter(({ number, size }) => size === bytesOf(number)).map((part) => [part.number, part.size]));
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((part) => !sent.has(part));
  const progress = () => onProgress?.([...sent.values()].reduce((sum, bytes) => sum + bytes, 0));
  progress();

  // The first failure ends the other parts too.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal].filter(Boolean));
  const worker = async () => {
    for (let part = missing.shift(); part !== undefined; part = missing.shift()) {
      const from = (part - 1) * partBytes;
      await onePart(id, part, file.slice(from, from + bytesOf(part)), {
        signal: either,
        onProgress: (bytes) => {
          sent.set(part, bytes);
          progress();
        },
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(PARTS_AT_ONCE, missing.length) }, worker));
  } catch (error) {
    failed.abort(error);
    throw error;
  }
  await ask("POST", `/api/uploads/${id}/complete`, undefined, signal);
}

/** A part, tried again where that can help: with a new URL, since the old one may have expired meanwhile. */
async function onePart(id, part, body, { onProgress, signal }) {
  for (let tries = 1; ; tries += 1) {
    try {
      const { url } = await sign(id, { operation: "part", part }, signal);
      return await send("PUT", url, { body, onProgress, signal });
    } catch (error) {
      onProgress(0);
      if (signal.aborted || tries === TRIES || !mayPass(error)) throw error;
      await pause(250 * 2 ** tries, signal);
    }
  }
}

/** Whether the same request may succeed a moment later. */
const mayPass = (error) =>
  error.kind === "network" || error.status >= 500 || error.status === 429 || /expired/i.test(error.message);

const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal.addEventListener("abort", abort, { once: true });
  });

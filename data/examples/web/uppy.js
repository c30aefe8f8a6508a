// The same app server, with Uppy: its AwsS3 for presigned PUTs and multipart, its XHRUpload for forms, and its
// Golden Retriever, which keeps the files themselves over a reload.
import { AwsS3, Dashboard, GoldenRetriever, Uppy, XHRUpload } from "./node_modules/uppy/dist/uppy.min.mjs";
import { UploadError, ask, begin, refusalOf, sign } from "./api.js";
import { announce, list, recorded, start } from "./account.js";
import { explain } from "./words.js";

const MIB = 1024 * 1024;

const $ = (id) => document.getElementById(id);
const way = () => document.querySelector("input[name=way]:checked").value;

const uppy = new Uppy({ id: "consign" });
/** Our id for each of Uppy's: what the app server calls the upload. */
const ids = new Map();
// A multipart upload that was restored is known by its key alone: `user/NAME/uploads/ID`.
const idOf = (file) => file.s3Multipart?.key.split("/").at(-1) ?? ids.get(file.id);

/** Asks for an upload, or anew for one that was allowed before and failed. */
async function allowed(file, way) {
  const asked = { name: file.name, type: file.type ?? "", size: file.size };
  const upload = ids.has(file.id) ? await sign(ids.get(file.id), { operation: "upload" }) : await begin(way, asked);
  ids.set(file.id, upload.id);
  return upload;
}

/** What AwsS3 asks for before each of its requests: a URL for that one. */
async function signRequest({ method, key, uploadId, partNumber: part }) {
  if (uploadId === undefined) {
    // The key is ours to choose: until it is known, AwsS3 has Uppy's id of the file in its place.
    return allowed(uppy.getFile(key), method === "POST" ? "presigned-multipart" : "put");
  }
  const operation = { PUT: "part", GET: "list", POST: "complete", DELETE: "abort" }[method];
  return sign(key.split("/").at(-1), { operation, part, upload_id: uploadId });
}

/** What XHRUpload needs before it sends: each file's own address and fields. */
async function fetchPolicies(fileIds) {
  const policies = fileIds.map(async (fileId) => {
    try {
      const { url, fields } = await allowed(uppy.getFile(fileId), "post");
      uppy.setFileMeta(fileId, fields);
      uppy.setFileState(fileId, { xhrUpload: { endpoint: url, allowedMetaFields: Object.keys(fields) } });
    } catch (error) {
      uppy.emit("upload-error", uppy.getFile(fileId), error); // the other files go on
    }
  });
  await Promise.all(policies);
}

/** The plug-in that sends: Uppy lets every uploader have every file, so that there is one at a time. */
function useWay() {
  for (const id of ["AwsS3", "XHRUpload"]) {
    const plugin = uppy.getPlugin(id);
    if (plugin) uppy.removePlugin(plugin);
  }
  uppy.removePreProcessor(fetchPolicies);
  ids.clear();
  if (way() === "post") {
    uppy.addPreProcessor(fetchPolicies);
    uppy.use(XHRUpload, {
      endpoint: "set for each file",
      getResponseData: () => ({}), // S3 answers in XML, which nobody needs
      shouldRetry: ({ status }) => status === 0 || status >= 500,
    });
  } else {
    uppy.use(AwsS3, {
      shouldUseMultipart: way() === "multipart",
      generateObjectKey: (file) => file.id,
      getChunkSize: () => me.part_bytes,
      signRequest,
    });
  }
}

/** Uppy's errors, as words.js knows them. */
function errorOf(error) {
  if (error instanceof UploadError) return error;
  const { request, status = request?.status, body = request?.responseText } = error;
  if (error.name === "S3NetworkError" || (request && status === 0)) {
    return new UploadError("network", error.message, { peer: "store" });
  }
  return status ? refusalOf(status, body) : error;
}

function showProblem(file, error) {
  forgetProblem(file);
  const { title, hint, details } = explain(errorOf(error));
  const place = Object.assign(document.createElement("div"), { className: "problem" });
  place.dataset.file = file.id;
  place.setAttribute("role", "alert");
  const part = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const said = document.createElement("dl");
  said.className = "details";
  said.append(...details.flatMap(([name, value]) => [part("dt", name), part("dd", value)]));
  place.append(part("b", `${file.name}: `), part("b", title), ` ${hint}`, said);
  $("problems").append(place);
}

function forgetProblem(file) {
  for (const place of $("problems").children) if (place.dataset.file === file?.id) place.remove();
}

uppy.on("upload-error", showProblem);
// A file that Uppy itself does not take has no place in its list: the words stay until another one is chosen.
uppy.on("restriction-failed", (file, { message }) => {
  showProblem({ id: "refused", name: file?.name ?? "The file" }, new UploadError("page", message));
});
uppy.on("file-added", () => forgetProblem({ id: "refused" }));
uppy.on("upload-retry", forgetProblem);
uppy.on("retry-all", () => $("problems").replaceChildren());
uppy.on("cancel-all", () => $("problems").replaceChildren());
uppy.on("upload-success", async (file) => {
  forgetProblem(file);
  const id = ids.get(file.id) ?? restored.get(file.id);
  ids.delete(file.id);
  await recorded(id);
  announce(`${file.name} is stored.`);
});

// Uppy forgets the key as soon as the upload is done, and ours with it.
const restored = new Map();
uppy.on("restored", () => {
  for (const file of uppy.getFiles()) if (file.s3Multipart) restored.set(file.id, idOf(file));
});

uppy.on("file-removed", async (file) => {
  forgetProblem(file);
  const id = idOf(file);
  ids.delete(file.id);
  if (!id || file.progress.uploadComplete) return;
  // AwsS3 may have aborted it already; after an error it does not.
  await ask("DELETE", `/api/uploads/${id}`).catch(() => {});
  list().catch(() => {});
});

let me;

await start((user) => {
  me = user;
  uppy.setOptions({ restrictions: { allowedFileTypes: me.types, minFileSize: 1, maxFileSize: me.file_bytes_max } });
  useWay();
  for (const radio of document.querySelectorAll("input[name=way]")) radio.addEventListener("change", useWay);
  uppy.use(Dashboard, {
    target: "#dashboard",
    inline: true,
    width: "100%",
    height: 360,
    theme: "auto",
    singleFileFullScreen: false,
    // It calls every refusal a network error; what was really said stands below.
    disableInformer: true,
    proudlyDisplayPoweredByUppy: false,
    note: me.may_upload ? me.types.join(", ") : "You may look, but not upload.",
  });
  // What is larger is asked for again after a reload, and goes on all the same.
  uppy.use(GoldenRetriever, { indexedDB: { maxFileSize: 100 * MIB, maxTotalSize: 300 * MIB } });
});

// Sizes, times and errors in words.

export function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit > 0 && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.ceil(seconds))} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** What Consign refused, recognised by its code and message: a title, and what to do. */
const REFUSALS = [
  {
    is: ({ message }) => /expired/i.test(message),
    title: "The permission to upload has expired.",
    hint: "It is only good for a while. Try again: the app server gives a new one.",
  },
  {
    is: ({ message }) => message.startsWith("x-consign-once:"),
    title: "This permission to upload was used already.",
    hint: "It is good for one upload. Try again: the app server gives a new one.",
  },
  {
    is: ({ code }) => code === "EntityTooLarge",
    title: "The file is too large.",
    hint: ({ bytesMax }) => (bytesMax ? `At most ${bytes(Number(bytesMax))} were allowed.` : "It is larger than was allowed."),
  },
  {
    is: ({ code }) => code === "EntityTooSmall",
    title: "The file is smaller than was announced.",
    hint: "It seems to have changed after you chose it. Choose it again.",
  },
  {
    is: ({ code, message }) => code === "AccessDenied" && /content-type/i.test(message),
    title: "The file has the wrong type.",
    hint: "It is not of the type that was allowed for this upload.",
  },
  {
    is: ({ code }) => code === "SignatureDoesNotMatch",
    title: "The upload is not the one that was allowed.",
    hint: "The file's size or type changed after it was chosen, or the link was altered. Choose the file again.",
  },
  {
    is: ({ code }) => code === "NoSuchUpload",
    title: "This upload is no longer there.",
    hint: "It was aborted, or finished elsewhere. Begin again.",
  },
  {
    is: ({ code }) => code === "QuotaExceeded",
    title: "The store is full.",
    hint: "The bucket holds as much as it may.",
  },
  {
    is: ({ status }) => status === 503 || status === 429,
    title: "The store is busy.",
    hint: "Try again in a moment.",
  },
  {
    is: ({ status }) => status >= 500,
    title: "The store failed.",
    hint: "That is not your fault. Try again; if it stays, tell us the request's number.",
  },
  {
    is: () => true,
    title: "The store refused the upload.",
    hint: "What it said is below.",
  },
];

const APP_TITLES = {
  not_signed_in: "You are signed out.",
  may_not_upload: "You may not upload.",
  type_not_allowed: "The file has the wrong type.",
  file_too_large: "The file is too large.",
  quota_exceeded: "The file is too large for the space that you have left.",
  bad_size: "The file is empty.",
  no_such_upload: "This upload is no longer there.",
  not_pending: "This upload is over.",
  incomplete: "Parts of the file are missing.",
  store_failed: "The store failed.",
};

/** An error as a title, a hint what to do, and the details that a support desk asks for. */
export function explain(error) {
  if (error.name === "NotReadableError" || error.name === "NotFoundError") {
    return { title: "The file can't be read any more.", hint: "It was moved or changed. Choose it again.", details: [] };
  }
  if (error.kind === "network") {
    const offline = !navigator.onLine;
    const name = error.peer === "app" ? "The app server" : "The store";
    const elsewhere = "It may be down, or does not admit this page (its bucket's CORS rules). Try again.";
    return {
      title: offline ? "You are offline." : `${name} can't be reached.`,
      hint: offline ? "Try again once you are connected." : error.peer === "app" ? "Try again in a moment." : elsewhere,
      details: [],
    };
  }
  if (error.kind === "app") {
    const { max, left, types, s3Code, requestId } = error.detail;
    const more = [
      max !== undefined && `At most ${bytes(max)}.`,
      left !== undefined && `${bytes(left)} are left.`,
      types && `Allowed are ${types.join(", ")}.`,
    ];
    return {
      title: APP_TITLES[error.code] ?? "The app server refused.",
      hint: [error.message, ...more.filter(Boolean)].join(" "),
      details: [["Code", s3Code], ["Request", requestId]].filter(([, value]) => value),
    };
  }
  if (error.kind === "store") {
    const { title, hint } = REFUSALS.find(({ is }) => is(error));
    const said = [["Consign said", error.message], ["Code", error.code], ["Status", error.status], ["Request", error.requestId]];
    return {
      title,
      hint: typeof hint === "function" ? hint(error) : hint,
      details: said.filter(([, value]) => value),
    };
  }
  const title = error.kind === "page" ? "This file can't be taken." : "The upload failed.";
  return { title, hint: error.message, details: [] };
}

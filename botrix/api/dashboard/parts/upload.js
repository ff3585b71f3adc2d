// Sends a file as it lies on the disk, in pieces: it is never in memory. XMLHttpRequest, since fetch
// tells nothing of how far a body is.
import { Problem, problemOf } from "./api.js";

const BROKEN = "The upload broke off before it was accepted, so nothing was made. Is the API running? Send it again.";
const CHANGED = "The file was changed or removed since it was chosen. Choose it again.";
const STOPPED = "The upload was stopped. Nothing was made.";

// {done: a promise of the answer, stop()}. far(share): from 0 to 1.
export function upload(path, file, { kind, once, far }) {
  const request = new XMLHttpRequest();
  const done = new Promise((good, bad) => {
    request.open("POST", path);
    request.setRequestHeader("Content-Type", kind);
    request.setRequestHeader("Idempotency-Key", once);
    request.upload.onprogress = (event) => { if (event.lengthComputable) far(event.loaded / event.total); };
    request.onload = async () => {
      const answer = new Response(request.responseText, { status: request.status });
      if (answer.ok) good(JSON.parse(request.responseText));
      else bad(await problemOf(answer));
    };
    request.onerror = async () => bad(new Problem(0, await isThere(file) ? BROKEN : CHANGED));
    request.onabort = () => bad(new Problem(0, STOPPED));
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}

async function isThere(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

// A file of the API, saved by the browser; answers with its headers. Raises the API's Problem.
import { ask } from "./api.js";

export async function download(method, path, usual, more = {}) {
  const answer = await ask(method, path, { ...more, raw: true });
  const [, name] = (answer.headers.get("Content-Disposition") || "").match(/filename="([^"]+)"/) || [];
  const url = URL.createObjectURL(await answer.blob());
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name || usual;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  return answer.headers;
}

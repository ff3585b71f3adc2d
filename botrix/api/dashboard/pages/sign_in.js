// Who has a key gives it once; a cookie that no script can read takes its place.
import { html, useState } from "../parts/html.js";
import { post } from "../parts/api.js";

export function SignIn({ done }) {
  const [key, setKey] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await post("/api/sign-in", { key: key.trim() });
      setKey("");
      await done();
    } catch (problem) {
      setWrong(problem.status === 401 ? "This key is not known, was revoked or has expired." : problem.detail);
    } finally {
      setBusy(false);
    }
  };
  return html`<main class="alone"><form class="card sign-in" onSubmit=${send}>
    <h1><img src="/static/icon.svg" alt="" width="40" height="40" />Botrix</h1>
    <div class=${`field ${wrong ? "bad" : ""}`}><label for="key">API key</label>
      <input id="key" type="password" autocomplete="current-password" required value=${key} aria-describedby="key-hint key-wrong"
        aria-invalid=${wrong ? "true" : undefined} onInput=${(e) => setKey(e.target.value)} />
      <p class="hint" id="key-hint">Whoever runs Botrix makes one: <code>botrix key create --role operator --name you</code></p>
      <p class="fault" id="key-wrong" role="alert">${wrong}</p></div>
    <button class="main" disabled=${busy || !key.trim()}>Sign in</button></form></main>`;
}

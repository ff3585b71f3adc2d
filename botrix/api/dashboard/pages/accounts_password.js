// A password, shown once. It is a text node of this one element and nothing else: no state, no
// attribute, no storage holds it; it goes after a minute, by a press, and with the page.
import { html, useEffect, useRef, useState } from "../parts/html.js";
import { intention, post } from "../parts/api.js";
import { Confirm } from "../parts/dialog.js";
import { useSending } from "../parts/once.js";
import { tell } from "../parts/toast.js";
import { Wrong } from "../parts/ui.js";

const SHOWN = 60;

// show(password) puts it into the element of `place`; hide() takes it out at once.
function useSecret(place, hidden) {
  const timer = useRef(0);
  const node = useRef(null);  // place.current is empty already where the page is being left
  const empty = () => {
    clearInterval(timer.current);
    if (node.current) node.current.textContent = "";
  };
  const hide = () => { empty(); hidden(); };
  const show = (password, tick) => {
    empty();
    node.current = place.current;
    node.current.textContent = password;
    const until = Date.now() + SHOWN * 1000;
    tick(SHOWN);
    timer.current = setInterval(() => {
      const left = Math.ceil((until - Date.now()) / 1000);
      if (left > 0) tick(left);
      else hide();
    }, 500);
  };
  useEffect(() => {
    addEventListener("pagehide", hide);
    addEventListener("hashchange", hide);
    return () => { removeEventListener("pagehide", hide); removeEventListener("hashchange", hide); empty(); };
  }, []);
  return { show, hide };
}

async function copy(place) {
  try {
    await navigator.clipboard.writeText(place.current.textContent);
    return "Copied";
  } catch {  // where the page came over plain HTTP there is no clipboard
    getSelection().selectAllChildren(place.current);
    return "Selected: press Ctrl+C or ⌘C";
  }
}

function Copy({ place }) {
  const [said, setSaid] = useState("");
  return html`<button onClick=${async () => setSaid(await copy(place))}>Copy</button><span role="status">${said}</span>`;
}

export function Password({ account, renew }) {
  const place = useRef(null);
  const [left, setLeft] = useState(0);
  const [asking, setAsking] = useState("");
  const [gone, setGone] = useState(false);
  const { show, hide } = useSecret(place, () => setLeft(0));
  const key = useRef(intention());
  const reveal = async () => {
    try {
      show((await post(`/api/accounts/${account.id}/reveal`, undefined, { once: key.current })).password, setLeft);
    } catch (problem) {
      if (problem.status === 410) setGone(true);
      throw problem;
    } finally {
      key.current = intention();
    }
    renew({ ...account, revealed: true });
  };
  const reset = useSending(async (_wish, once) => {
    const now = await post(`/api/accounts/${account.id}/reset`, undefined, { once });
    hide();
    setGone(false);
    tell(`${account.username} has a new password. It can be shown once.`);
    await renew(now);
  });
  useEffect(() => { if (left && !asking) place.current.focus(); }, [left > 0, asking]);
  if (account.status !== "created") return null;
  const over = account.revealed || gone;
  return html`<section class="password" aria-label="Password"><h3>Password</h3>
    <div class="secret" hidden=${!left}><code ref=${place} tabindex="-1" aria-label=${`Password of ${account.username}`}></code>
      <div class="actions">${left > 0 && html`<${Copy} place=${place} />`}<button onClick=${hide}>Hide</button><span class="note number">hides in ${left} s</span></div></div>
    ${!left && html`<p class="note">${over ? "It was shown or erased, and is kept nowhere here. Only a new one can be set." : "It can be shown once, then it is erased here."}</p>`}
    <${Wrong} problem=${reset.problem} />
    ${!left && html`<div class="actions">${over ? html`<button disabled=${reset.busy} aria-busy=${reset.busy} onClick=${() => setAsking("reset")}>Set a new one</button>`
      : html`<button onClick=${() => setAsking("reveal")}>Show it</button>`}</div>`}
    ${asking === "reveal" && html`<${Confirm} title="Show the password?" verb="Show it now" does=${reveal} close=${() => setAsking("")}>
      <p>The password of <strong>${account.username}</strong> can be shown only once: it is erased here as it leaves, and the audit record says who asked. It is on the screen for a minute. Is nobody looking over your shoulder?</p><//>`}
    ${asking === "reset" && html`<${Confirm} title="Set a new password?" verb="Set a new one" does=${async () => { await reset.send([account.updated_at]); }} close=${() => setAsking("")}>
      <p>The directory gets a new, random password for <strong>${account.username}</strong>; the old one stops working. The new one can then be shown once.</p><//>`}</section>`;
}

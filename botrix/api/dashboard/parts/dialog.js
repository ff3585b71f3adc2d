// A question that must be answered before anything else: the browser's own <dialog>, which keeps
// the focus and closes by Escape.
import { html, useEffect, useId, useRef, useState } from "./html.js";
import { settle } from "./toast.js";
import { Action } from "./ui.js";

export function Dialog({ title, children, close }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const [before, mine] = [document.activeElement, ref.current];
    mine.showModal();
    settle();
    return () => { settle(mine); if (before && before.isConnected) before.focus(); };
  }, []);
  const outside = (event) => { if (event.target === ref.current) close(); };
  return html`<dialog ref=${ref} aria-labelledby=${id} onCancel=${(e) => { e.preventDefault(); close(); }} onClick=${outside}>
    <div class="inside"><header><h2 id=${id}>${title}</h2><button class="quiet" aria-label="Close" onClick=${close}>✕</button></header>
    ${children}</div></dialog>`;
}

// Asks before something that cannot be taken back. typed: what must be typed first, such as the
// number of accounts that will go.
export function Confirm({ title, children, typed, verb, does, close }) {
  const [text, setText] = useState("");
  const id = useId();
  const may = typed === undefined || text.trim() === String(typed);
  return html`<${Dialog} title=${title} close=${close}>${children}
    ${typed !== undefined && html`<div class="field"><label for=${id}>Type <strong>${typed}</strong> to confirm</label>
      <input id=${id} autocomplete="off" value=${text} onInput=${(e) => setText(e.target.value)} /></div>`}
    <footer><button onClick=${close}>Leave it</button>
      <${Action} kind="danger" disabled=${!may} does=${async () => { await does(); close(); }}>${verb}<//></footer><//>`;
}

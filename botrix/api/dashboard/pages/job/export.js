// The passwords of a job on their way out, each once: as a list, as cards, or sealed.
import { html, useState } from "../../parts/html.js";
import { intention } from "../../parts/api.js";
import { Dialog } from "../../parts/dialog.js";
import { isOpen } from "../../parts/jobs.js";
import { tell } from "../../parts/toast.js";
import { Action, Card, Field } from "../../parts/ui.js";
import { number } from "../../parts/words.js";
import { download } from "../../parts/download.js";

const FORMATS = {
  cards: "Cards to be printed and cut apart", csv: "A list (CSV)", sealed: "A sealed list, which one recipient opens",
};
const NEEDS = { cards: ["title", "sign_in"], csv: [], sealed: ["recipient"] };
const FIELDS = {
  title: ["Title on the cards", "such as: Summer school, lab 3"], sign_in: ["Where to sign in", "an address"],
  recipient: ["Public key of the recipient", "age1…"],
};

export function Passwords({ job, me }) {
  const [open, setOpen] = useState(false);
  if (!me.scopes.includes("reveal") || isOpen(job) || job.undoes || !job.created) return null;
  return html`<${Card} title="Passwords" more=${html`<button onClick=${() => setOpen(true)}>Export…</button>`}>
    <p class="soft">Each password leaves once: as it is exported or revealed, it is erased here.</p>
    ${open && html`<${Export} job=${job} close=${() => setOpen(false)} />`}<//>`;
}

function Export({ job, close }) {
  const [format, setFormat] = useState("cards");
  const [more, setMore] = useState({});
  const [left, setLeft] = useState(null);
  const clear = format !== "sealed";
  const does = async () => {
    const body = { format };
    for (const name of NEEDS[format]) if ((more[name] || "").trim()) body[name] = more[name].trim();
    const sent = { body, once: intention() };
    const headers = await download("POST", `/api/jobs/${job.id}/export`, `${job.id}.csv`, sent);
    const rest = Number(headers.get("Botrix-Left"));
    tell(`${number(Number(headers.get("Botrix-Accounts")))} passwords left with the file, and are erased here.`);
    if (rest) setLeft(rest); else close();
  };
  return html`<${Dialog} title="Export passwords" close=${close}>
    <fieldset class="plain"><legend>As</legend>${Object.entries(FORMATS).map(([name, says]) => html`<label key=${name} class="choice">
      <input type="radio" name="format" value=${name} checked=${format === name} onChange=${() => setFormat(name)} /> ${says}</label>`)}</fieldset>
    ${NEEDS[format].map((name) => html`<${Field} key=${name} label=${FIELDS[name][0]} hint=${FIELDS[name][1]}>${(ties) => html`
      <input ...${ties} autocomplete="off" maxlength="200" value=${more[name] || ""} onInput=${(e) => setMore({ ...more, [name]: e.target.value })} />`}<//>`)}
    <div class="stall"><span aria-hidden="true">!</span><p>${clear ? html`<strong>The file holds passwords in the clear:</strong> whoever reads it has them. ` : ""}They
      are erased here as they leave. If the file gets lost, each must be reset.</p></div>
    ${left !== null && html`<p role="status">${number(left)} more are left for another file.</p>`}
    <footer><button onClick=${close}>Leave it</button><${Action} kind="danger" does=${does}>${left === null ? "Export, and erase here" : "Export the next ones"}<//></footer><//>`;
}

// The directories: whether each is used, how much it is asked and why, what waits for it. Adding
// one is `#/directories/new` (directory_new.js).
import { html, useId, useState } from "../parts/html.js";
import { intention, post, useAsked } from "../parts/api.js";
import { Dialog } from "../parts/dialog.js";
import { Findings } from "../parts/findings.js";
import { tell } from "../parts/toast.js";
import { Action, Card, Empty, Head, Loading, State, Time, Wrong } from "../parts/ui.js";
import { DIRECTORY, duration, number } from "../parts/words.js";
import { NewDirectory } from "./directory_new.js";

const of = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
const at = (name) => `/api/directories/${encodeURIComponent(name)}`;

// Why it is as it is, in a sentence.
function why(one) {
  const reason = one.reason ? `: ${one.reason}` : "";
  if (one.paused_by) return `Paused by ${one.paused_by}${reason}. It stays so until somebody resumes it.`;
  if (one.status === "working") return one.workers ? "It is used." : "It is used when there is work.";
  const means = (DIRECTORY[one.status] || { means: one.status }).means;
  return `${means[0].toUpperCase()}${means.slice(1)}${reason}.`;
}

function limit(one) {
  if (one.limit === null) return one.limit_reason;
  return `${of(one.limit, "call")} at once${one.limit_reason ? `: ${one.limit_reason}` : ""}`;
}

// [what, how much], without what there is not.
function facts(one) {
  const allowed = [one.most && `${number(one.most)} calls at once`, one.rate && `${number(one.rate)} operations a second`];
  return [
    ["Limit", limit(one)],
    ["Allowed", allowed.filter(Boolean).join(", ")],
    ["In flight", of(one.in_flight, "account")],
    ["Workers", one.workers ? `${number(one.workers)}, which may make ${of(one.at_once, "call")} at once` : "none uses it now"],
    ["Jobs held", one.held ? html`<a href=${`#/jobs?directory=${encodeURIComponent(one.name)}`}>${number(one.held)}${one.held >= 10000 ? " or more" : ""}</a>` : "none"],
    ["Next probe", one.next_probe_in === null ? "" : `in ${duration(one.next_probe_in)}`],
    ["On undo", one.on_undo && `accounts are ${one.on_undo}d`],
  ].filter(([, said]) => said);
}

function Pause({ one, close, again }) {
  const [reason, setReason] = useState("");
  const [once] = useState(intention);
  const id = useId();
  const pause = async () => {
    await post(`${at(one.name)}/pause`, { reason: reason.trim() }, { once });
    tell(`${one.name} is paused`);
    await again();
    close();
  };
  return html`<${Dialog} title=${`Pause ${one.name}`} close=${close}>
    <p>Its jobs wait and lose nothing by it. What is under way is still finished.</p>
    <div class="field"><label for=${id}>Why, for those who wonder</label>
      <input id=${id} maxlength="200" autocomplete="off" value=${reason} onInput=${(e) => setReason(e.target.value)} /></div>
    <footer><button onClick=${close}>Leave it</button><${Action} kind="main" does=${pause}>Pause<//></footer><//>`;
}

function Directory({ one, may, again }) {
  const [found, setFound] = useState(null);
  const [pausing, setPausing] = useState(false);
  const check = async () => {
    setFound(null);
    setFound(await post(`${at(one.name)}/check`));
  };
  const resume = async () => {
    await post(`${at(one.name)}/resume`, undefined, { once: intention() });
    tell(`${one.name} is used again`);
    await again();
  };
  return html`<${Card} title=${one.name} more=${html`<span class="note">of the kind ${one.kind}</span>`}>
    <p><${State} of="directory" is=${one.status} /> ${one.since && one.status !== "working" && html`<span class="note"><${Time} at=${one.since} /></span>`}</p>
    <p>${why(one)}</p>
    <dl class="facts">${facts(one).map(([what, said]) => html`<div key=${what}><dt>${what}</dt><dd>${said}</dd></div>`)}</dl>
    ${may && html`<div class="actions"><${Action} does=${check} aria-label=${`Check ${one.name}`}>Check<//>
      ${one.paused ? html`<${Action} does=${resume} aria-label=${`Resume ${one.name}`}>Resume<//>`
        : html`<button onClick=${() => setPausing(true)} aria-label=${`Pause ${one.name}`}>Pause</button>`}</div>`}
    <div role="status">${found && html`<${Findings} of=${found} name=${one.name} />`}</div>
    ${pausing && html`<${Pause} one=${one} again=${again} close=${() => setPausing(false)} />`}<//>`;
}

function All({ me }) {
  const { data, problem, loading, again } = useAsked("/api/directories", { every: 3 });
  const add = me.scopes.includes("admin") && html`<a class="button main" href="#/directories/new">Add a directory</a>`;
  return html`<${Head} title="Directories" note="Where accounts are made, with your own credentials.">${add}<//>
    <${Wrong} problem=${problem} again=${again} />
    ${loading && !data && html`<${Loading} what="directories" />`}
    ${data && !data.items.length && html`<${Empty} action=${add}>No directory yet.<//>`}
    ${data && html`<div class="cards">${data.items.map((one) => html`<${Directory} key=${one.name} one=${one} may=${me.scopes.includes("operate")} again=${again} />`)}</div>`}`;
}

export default function Directories({ id, me }) {
  return id === "new" ? html`<${NewDirectory} />` : html`<${All} me=${me} />`;
}

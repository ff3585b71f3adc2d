// Many jobs cancelled or tried again at once: what would be done is counted first, and the number
// is typed by whoever does it.
import { html, useEffect, useMemo, useState } from "../../parts/html.js";
import { intention, post } from "../../parts/api.js";
import { Confirm } from "../../parts/dialog.js";
import { tell } from "../../parts/toast.js";
import { Field, Wrong } from "../../parts/ui.js";
import { number } from "../../parts/words.js";

const ACTS = {
  cancel: { title: "Cancel many jobs", verb: "Cancel them", states: ["running", "pending"], did: "to be cancelled", says: "What they created stays; nothing more is created." },
  retry: { title: "Retry many jobs", verb: "Retry them", states: ["failed"], did: "tried again", says: "Just their failed accounts are tried again." },
};
const SOON = 300;

// {n, problem}: how many jobs it would be; n is null while they are counted.
function useCounted(path, body) {
  const asked = JSON.stringify(body);
  const [found, setFound] = useState({ n: null, problem: null, of: "" });
  useEffect(() => {
    let there = true;
    const timer = setTimeout(async () => {
      try {
        const n = await counted(path, body);
        if (there) setFound({ n, problem: null, of: asked });
      } catch (problem) {
        if (there) setFound({ n: null, problem, of: asked });
      }
    }, SOON);
    return () => { there = false; clearTimeout(timer); };
  }, [path, asked]);
  return found.of === asked ? found : { n: null, problem: null };
}

async function counted(path, body) {
  let [n, cursor] = [0, null];
  do {
    const part = await post(path, { ...body, dry_run: true, ...(cursor ? { cursor } : {}) });
    [n, cursor] = [n + part.jobs, part.next];
  } while (cursor);
  return n;
}

// Until none is left, a thousand at a time; each part is an intention of its own.
async function done(path, body, once, progress) {
  let [n, cursor, part] = [0, null, 0];
  do {
    const said = await post(path, { ...body, ...(cursor ? { cursor } : {}) }, { once: `${once}-${part++}` });
    [n, cursor] = [n + said.jobs, said.next];
    progress(n);
  } while (cursor);
  return n;
}

const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));

export function Many({ act, filter, times, close, after }) {
  const { title, verb, states, did, says } = ACTS[act];
  const [status, setStatus] = useState(states.includes(filter.status) ? filter.status : states[0]);
  const [reason, setReason] = useState("");
  const [so_far, setSoFar] = useState(null);
  const path = `/api/jobs/${act}`;
  const body = given({ status, directory: filter.directory, reason: reason.trim(), ...times });
  const once = useMemo(intention, [JSON.stringify(body)]);
  const { n, problem } = useCounted(path, body);
  const run = async () => {
    const count = await done(path, body, once, setSoFar);
    tell(`${number(count)} ${count === 1 ? "job is" : "jobs are"} ${did}.`);
    after();
  };
  return html`<${Confirm} title=${title} verb=${verb} typed=${n || "…"} does=${run} close=${close}>
    <p>${says} ${filter.directory ? html`Only those in <strong>${filter.directory}</strong>.` : "In every directory."}
      ${times.created_after && ` From ${new Date(times.created_after).toLocaleString()} on.`}${times.created_before && ` Before ${new Date(times.created_before).toLocaleString()}.`}</p>
    ${states.length > 1 && html`<${Field} label="Jobs that are">${(ties) => html`<select ...${ties} value=${status} onChange=${(e) => setStatus(e.target.value)}>
      ${states.map((one) => html`<option key=${one}>${one}</option>`)}</select>`}<//>`}
    ${act === "retry" && html`<${Field} label="Only for this reason" hint="As a failed account has it; empty: whatever the reason.">
      ${(ties) => html`<input ...${ties} value=${reason} maxlength="500" autocomplete="off" onInput=${(e) => setReason(e.target.value)} />`}<//>`}
    <${Wrong} problem=${problem} />
    <p role="status" class="found">${n === null ? (problem ? "" : "Counting…") : n === 0 ? "There is no such job now." : html`<strong>${number(n)}</strong> ${n === 1 ? "job" : "jobs"}.`}
      ${so_far !== null && ` ${number(so_far)} done.`}</p><//>`;
}

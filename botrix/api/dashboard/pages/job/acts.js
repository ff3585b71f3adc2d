// What may be done with a job: just what its state and the key of who looks allow.
import { html, useState } from "../../parts/html.js";
import { intention, post, useAsked } from "../../parts/api.js";
import { Confirm } from "../../parts/dialog.js";
import { isOpen, verbOf } from "../../parts/jobs.js";
import { tell } from "../../parts/toast.js";
import { Action } from "../../parts/ui.js";
import { number } from "../../parts/words.js";

const MANY = 1000; // accounts that go without being asked twice
const DID = {
  apply: "The plan is applied: it is looked at once more, then created.", approve: "Approved: the rest follows.",
  release: "Released: it goes on.", resume: "Resumed.", pause: "Paused: nothing more is begun.",
};
const VERB = { apply: "Apply the plan", approve: "Approve", release: "Release", resume: "Resume" };

const ask = (job, verb, body) => post(`/api/jobs/${job.id}/${verb}`, body, { once: intention() });

async function doIt(job, verb, put) {
  put(await ask(job, verb, verb === "apply" ? {} : undefined));
  tell(DID[verb]);
}

// The one button that lets a waiting job go on.
export function GoOn({ job, me, put }) {
  const verb = verbOf(job);
  if (!verb || !me.scopes.includes("operate")) return null;
  return html`<${Action} key=${verb} kind="main" does=${() => doIt(job, verb, put)}>${VERB[verb]}<//>`;
}

export function Acts({ job, me, put }) {
  const [open, setOpen] = useState("");
  if (!me.scopes.includes("operate")) return null;
  const may = {
    pause: ["pending", "running"].includes(job.status) && !job.waits,
    cancel: ["pending", "running"].includes(job.status),
    retry: job.status === "failed" && job.failed > 0,
    undo: !isOpen(job) && !job.undoes && job.created > 0,
  };
  const close = () => setOpen("");
  return html`${may.pause && html`<${Action} key="pause" does=${() => doIt(job, "pause", put)}>Pause<//>`}
    ${may.cancel && html`<button class="danger" onClick=${() => setOpen("cancel")}>Cancel…</button>`}
    ${may.retry && html`<${Action} key="retry" kind="main" does=${() => retry(job, put)}>Retry ${number(job.failed)} failed<//>`}
    ${may.undo && html`<button class="danger" onClick=${() => setOpen("undo")}>Undo…</button>`}
    ${open === "cancel" && html`<${Cancel} job=${job} put=${put} close=${close} />`}
    ${open === "undo" && html`<${Undo} job=${job} close=${close} />`}`;
}

async function retry(job, put) {
  put(await ask(job, "retry"));
  tell(`${number(job.failed)} failed ${job.failed === 1 ? "account is" : "accounts are"} tried again.`);
}

function Cancel({ job, put, close }) {
  const does = async () => {
    put(await ask(job, "cancel"));
    tell("It is being cancelled.");
  };
  return html`<${Confirm} title="Cancel this job?" verb="Cancel the job" does=${does} close=${close}>
    <p>${job.undoes ? "What was not removed yet stays." : `No more accounts are created. The ${number(job.created)} that are there stay; undo the job to remove them.`}
      A cancelled job cannot be taken up again.</p><//>`;
}

// Answers with a job of its own, which is then shown.
function Undo({ job, close }) {
  const { data } = useAsked(`/api/directories/${encodeURIComponent(job.directory)}`);
  const disables = Boolean(data && data.on_undo === "disable");
  const n = job.created;
  const [once] = useState(intention);
  const does = async () => {
    const body = { count: n, ...(n > MANY ? { max_deletes: n } : {}) };
    const made = await post(`/api/jobs/${job.id}/undo`, body, { once: `${once}-${n}` });
    tell(`${number(n)} ${n === 1 ? "account is" : "accounts are"} being ${disables ? "disabled" : "removed"}.`);
    location.hash = `#/jobs/${made.id}`;
  };
  return html`<${Confirm} title="Undo this job?" typed=${n} verb=${disables ? "Disable the accounts" : "Remove the accounts"} does=${does} close=${close}>
    <p><strong>${number(n)} ${n === 1 ? "account" : "accounts"}</strong> that this job created in <strong>${job.directory}</strong>${" "}
      ${disables ? "will be disabled there: nobody can sign in as them." : "will be deleted there. They cannot be brought back."}</p>
    <p>What was there before, and what is somebody else's, is not touched.${n > MANY && " This is more than a thousand accounts: look twice."}</p><//>`;
}

// How the job is, in a sentence, a bar and its numbers; above all what it waits for.
import { html } from "../../parts/html.js";
import { useAsked } from "../../parts/api.js";
import { doneOf, isLook, isOpen, stallOf } from "../../parts/jobs.js";
import { link } from "../../parts/place.js";
import { Card, Progress, State, useEta } from "../../parts/ui.js";
import { duration, number, OUTCOMES, rate, WAITS } from "../../parts/words.js";
import { GoOn } from "./acts.js";

const percent = (part, whole) => (whole ? `${Math.floor((part / whole) * 100)} %` : "100 %");
const many = (n, one = "account") => `${number(n)} ${one}${n === 1 ? "" : "s"}`;

// What is happening, or has happened, for who reads one line only.
function told(job, eta) {
  const done = doneOf(job);
  if (!isOpen(job)) return ended(job);
  const far = `${number(done)} of ${number(job.count)} (${percent(done, job.count)})`;
  if (job.status === "cancelling") return "It is being cancelled: what was begun is looked after first.";
  if (job.waits === "plan") return `All ${many(job.count)} were looked at. Nothing was created yet.`;
  if (job.waits || job.held) return `It stands at ${far}.`;
  if (job.not_before && new Date(job.not_before) > new Date()) return `It begins ${new Date(job.not_before).toLocaleString()}.`;
  if (job.status === "pending") return "It waits in the line for a worker.";
  const verb = isLook(job) ? "looked at" : job.stage === "remove" ? "removed" : "done";
  return eta ? `${far} ${verb}, ${rate(eta.speed)} a second, about ${eta.said} left.` : `${far} ${verb}.`;
}

function ended(job) {
  const seconds = (new Date(job.finished_at) - new Date(job.created_at)) / 1000;
  const took = job.finished_at ? ` It took ${duration(seconds)}.` : "";
  if (job.status === "cancelled") return `Cancelled: ${number(job.created)} of ${many(job.count)} had been created.${took}`;
  if (job.status === "failed") return `${number(job.failed)} of ${many(job.count)} could not be ${job.stage === "remove" ? "removed" : "created"}.${took}`;
  if (job.stage === "remove") return `All ${many(job.count)} are removed.${took}`;
  if (job.deleted && !job.created && !job.existing) return `All ${many(job.deleted)} were removed since.`;
  if (job.deleted) return `${many(job.deleted)} of ${number(job.count)} were removed since. ${number(job.created)} are there.`;
  return `${job.count === 1 ? "The account is there." : `All ${many(job.count)} are there.`}${took}`;
}

function Numbers({ job }) {
  const left = job.count - OUTCOMES.reduce((sum, name) => sum + job[name], 0);
  const shown = OUTCOMES.filter((name) => job[name] > 0 || name === (job.stage === "remove" ? "deleted" : "created") || name === "failed");
  return html`<ul class="numbers" aria-label="Accounts by outcome">
    ${shown.map((name) => html`<li key=${name}><a href=${link(`/jobs/${job.id}`, { status: name })}>
      <span class=${`patch ${name}`} aria-hidden="true"></span><strong class="number">${number(job[name])}</strong> <span>${name}</span></a></li>`)}
    ${left > 0 && html`<li><span class="patch rest" aria-hidden="true"></span><strong class="number">${number(left)}</strong> <span>left</span></li>`}
    ${job.bad_rows > 0 && !job.undoes && html`<li class="heeded"><span aria-hidden="true">!</span><strong class="number">${number(job.bad_rows)}</strong> <span>${job.bad_rows === 1 ? "row" : "rows"} left out</span></li>`}
    ${job.retried > 0 && html`<li class="soft"><strong class="number">${number(job.retried)}</strong> <span>calls tried again</span></li>`}</ul>`;
}

// Why it stands, and what lets it go on.
function Stall({ job, me, put }) {
  if (!isOpen(job)) return null;
  if (job.waits) return html`<div class="stall" role="status"><span aria-hidden="true">❚❚</span><p>${job.waits === "plan" ? "It waits for you." : WAITS[job.waits].says} ${hint(job)}</p><${GoOn} job=${job} me=${me} put=${put} /></div>`;
  return job.held ? html`<${Held} directory=${job.directory} />` : null;
}

function hint(job) {
  if (job.waits === "canary") return `${many(job.canary ?? doneOf(job))} of ${number(job.count)} came first; approve it, and the rest follows.`;
  if (job.waits === "failures") return `${number(job.failed)} failed. Release it, and as many more may; or cancel it.`;
  if (job.waits === "plan") return "See in the plan what would become of each account; apply it, and they are created.";
  return "Nothing more is begun until somebody resumes it.";
}

function Held({ directory }) {
  const { data } = useAsked(`/api/directories/${encodeURIComponent(directory)}`, { every: 3 });
  const why = data && data.reason ? `: ${data.reason}` : "";
  const probe = data && data.next_probe_in !== null ? ` It is tried again in ${duration(data.next_probe_in)}.` : "";
  return html`<div class="stall" role="status"><span aria-hidden="true">❚❚</span>
    <p>Its directory <a href="#/directories">${directory}</a> is paused${why}.${probe} The job then goes on by itself.</p></div>`;
}

function Ties({ job }) {
  const undone = useAsked(job.undoes ? null : `/api/jobs?undoes=${encodeURIComponent(job.id)}&limit=5`);
  const jobs = undone.data ? undone.data.items : [];
  if (!jobs.length) return null;
  return html`<p class="soft">Undone by ${jobs.map((one, n) => html`${n > 0 && ", "}<a key=${one.id} href=${`#/jobs/${one.id}`}>${one.id}</a> (${one.status})`)}</p>`;
}

export function Summary({ job, me, put }) {
  const eta = useEta(job, doneOf(job));
  return html`<${Card} label="How it is"><div class="how"><${State} of="job" is=${job.status} note=${stallOf(job)} /><p class="told">${told(job, eta)}</p></div>
    <${Stall} job=${job} me=${me} put=${put} />
    <${Progress} job=${job} label="Progress of the job" wide />${!isLook(job) && html`<${Numbers} job=${job} />`}
    ${job.provisional && !isOpen(job) && html`<p class="soft">What failed or was cancelled is looked for once more at the directory, since a late call may still land.</p>`}
    <${Ties} key=${job.status} job=${job} /><//>`;
}

const PLANNED = [
  ["create", "would be created", "created"], ["adopt", "exist already: another job made them", "existing"],
  ["conflict", "would fail: the name is somebody else's", "failed"],
];

// What would become of the accounts, by the look at the directory.
export function Plan({ job }) {
  if (!job.plan) return null;
  const about = isLook(job) ? "The plan" : "What was planned";
  return html`<${Card} title=${about}><ul class="numbers wide">
    ${PLANNED.map(([name, says, colour]) => html`<li key=${name}><a href=${link(`/jobs/${job.id}`, { prospect: name })}>
      <span class=${`patch ${colour}`} aria-hidden="true"></span><strong class="number">${number(job.plan[name])}</strong> <span>${says}</span></a></li>`)}
    ${job.plan.invalid > 0 && html`<li><span class="patch cancelled" aria-hidden="true"></span><strong class="number">${number(job.plan.invalid)}</strong> <span>rows were left out: they cannot be used</span></li>`}
    ${job.plan.moved > 0 && html`<li><span class="patch failed" aria-hidden="true"></span><strong class="number">${number(job.plan.moved)}</strong> <span>changed since the plan before, so it waits again</span></li>`}</ul><//>`;
}

// The plan of a job: what would become of its accounts, before anything is created.
import { html, useEffect } from "../parts/html.js";
import { address, post, useAsked, usePages } from "../parts/api.js";
import { List } from "../parts/list.js";
import { useConnection, useLive } from "../parts/live.js";
import { useNarrow } from "../parts/narrow.js";
import { download } from "../parts/download.js";
import { useSending } from "../parts/once.js";
import { Action, Card, Head, Loading, Progress, Wrong } from "../parts/ui.js";
import { number } from "../parts/words.js";
import { tell } from "../parts/toast.js";

const OPEN = ["pending", "running", "cancelling"];
const TILES = [
  { name: "create", shape: "✓", tone: "good", says: "would be created" },
  { name: "adopt", shape: "=", tone: "good", says: "would count as existing: another job made them" },
  { name: "conflict", shape: "✕", tone: "bad", says: "would fail: the name is somebody else's" },
  { name: "invalid", shape: "!", tone: "warn", says: "were left out: their rows cannot be used" },
];
const AGAIN = 2000;

// The job as it is now: asked again when an event tells of it, and by itself while none can come.
function useJob(id) {
  const asked = useAsked(`/api/jobs/${id}`);
  const connection = useConnection();
  const job = asked.data;
  const done = job && (!OPEN.includes(job.status) || job.waits);
  useLive("job", (event) => { if (event.job_id === id) asked.again(); }, [id, asked.again]);
  useLive("gap", asked.again, [asked.again]);
  useEffect(() => {
    if (done || connection === "live") return undefined;
    const timer = setInterval(asked.again, AGAIN);
    return () => clearInterval(timer);
  }, [done, connection, asked.again]);
  return { ...asked, job };
}

export function Plan({ id, me }) {
  const { job, problem, again } = useJob(id);
  const waits = job && job.stage === "plan" && job.waits === "plan" && job.status !== "cancelling";
  const looking = job && OPEN.includes(job.status) && !job.waits && job.stage !== "create";
  useEffect(() => { if (job && job.stage !== "plan") location.replace(`#/jobs/${id}`); }, [job && job.stage]);
  return html`<${Head} title="Plan" note="Nothing was created yet."><a class="button" href=${`#/jobs/${id}`}>The job</a><//>
    <${Wrong} problem=${problem} again=${again} />
    ${!job && !problem && html`<${Loading} what="the plan" />`}
    ${job && html`<${Card} label="What would become of it"><p role="status">${said(job, waits, looking)}</p>
      ${looking && html`<${Progress} job=${job} label="Looked at" wide />`}
      ${job.plan && html`<${Tiles} plan=${job.plan} />`}
      ${waits && html`<${Decide} job=${job} me=${me} />`}<//>
      ${job.bad_rows > 0 && html`<${BadRows} job=${job} />`}
      ${waits && job.plan.conflict > 0 && html`<${Foreseen} job=${job} prospect="conflict" title="Names that are somebody else's" />`}
      ${waits && job.plan.adopt > 0 && html`<${Foreseen} job=${job} prospect="adopt" title="Made by another job already" />`}`}`;
}

function said(job, waits, looking) {
  const where = `in the directory ${job.directory}`;
  if (waits) return `${number(job.count)} ${job.count === 1 ? "account was" : "accounts were"} looked up ${where}.${job.plan.moved ? ` ${number(job.plan.moved)} came out otherwise than at the look before.` : ""}`;
  if (job.held) return `The directory ${job.directory} is paused; it goes on when that is used again.`;
  if (looking) return `${number(job.count)} accounts are being looked up ${where}…`;
  if (job.waits === "paused") return "The job is paused; its page resumes it.";
  if (job.count === 0) return "No row can be used, so there is nothing to create. Mend the rows below, and send them again.";
  return `The job is ${job.status}.`;
}

const Tiles = ({ plan }) => html`<dl class="tiles">${TILES.map((one) => html`<div key=${one.name} class=${`tile ${plan[one.name] ? one.tone : ""}`}>
  <dt><span class="shape" aria-hidden="true">${one.shape}</span> ${one.name}</dt><dd class="number">${number(plan[one.name])}</dd><dd class="note">${one.says}</dd></div>`)}</dl>`;

function Decide({ job, me }) {
  const apply = useSending(async (_wish, key) => {
    await post(`/api/jobs/${job.id}/apply`, undefined, { once: key });
    location.hash = `#/jobs/${job.id}`;
  });
  const leave = useSending(async (_wish, key) => {
    await post(`/api/jobs/${job.id}/cancel`, undefined, { once: key });
    tell("The plan was left. Nothing was created.");
    location.hash = job.source === "import" ? "#/new?from=roster" : "#/new";
  });
  if (!me.scopes.includes("operate")) return html`<p class="heed">Your key may look, but not apply a plan. Whoever may operate finds it on the job's page.</p>`;
  const n = job.plan.create;
  return html`<${Wrong} problem=${apply.problem || leave.problem} />
    <div class="actions"><button class="main" disabled=${apply.busy || leave.busy || n === 0} aria-busy=${apply.busy} onClick=${() => apply.send(["apply", job.updated_at])}>
      Create ${number(n)} ${n === 1 ? "account" : "accounts"}</button>
    <button disabled=${apply.busy || leave.busy} aria-busy=${leave.busy} onClick=${() => leave.send(["cancel"])}>Leave it</button></div>
    <p class="hint">All of it is looked up once more before. Where anything would come out otherwise than here, nothing is created, and the new plan waits again.</p>`;
}

function BadRows({ job }) {
  const narrow = useNarrow();
  const rows = usePages(address(`/api/jobs/${job.id}/rows`, { limit: 200 }));
  const columns = [{ name: "row", title: "Row", width: "64px", align: "end", show: (row) => row.row }, { name: "reason", title: "Why", show: (row) => html`<span class=${narrow ? "wraps" : ""} title=${row.reason}>${row.reason}</span>` }];
  return html`<${Card} title=${`${number(job.bad_rows)} ${job.bad_rows === 1 ? "row that was" : "rows that were"} left out`}
      more=${html`<${Action} does=${() => download("GET", `/api/jobs/${job.id}/failed-rows`, `${job.id}-failed.csv`)}>Download them<//>`}>
    <p class="note">As they were written, with a last column that says what is wrong: mend them, and send that file.</p>
    <${Wrong} problem=${rows.problem} again=${rows.again} />
    <${List} label="Rows left out" columns=${columns} rows=${rows.items} idOf=${(row) => row.row} height=${narrow ? 92 : 44} more=${rows.next} total=${job.bad_rows + 1} /><//>`;
}

function Foreseen({ job, prospect, title }) {
  const rows = usePages(address(`/api/jobs/${job.id}/accounts`, { prospect, limit: 200 }));
  const columns = [{ name: "row", title: "Row", width: "64px", align: "end", show: (one) => one.row ?? one.index + 1 },
    { name: "username", title: "User name", show: (one) => one.username }, { name: "name", title: "Name", show: (one) => one.display_name }];
  return html`<${Card} title=${title}><${Wrong} problem=${rows.problem} again=${rows.again} />
    <${List} label=${title} columns=${columns} rows=${rows.items} idOf=${(one) => one.id} more=${rows.next} total=${job.plan[prospect] + 1} /><//>`;
}

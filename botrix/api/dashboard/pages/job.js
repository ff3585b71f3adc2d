// One job: is it working, how far is it, what failed and why, and what can be done about it.
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../parts/html.js";
import { useAsked } from "../parts/api.js";
import { doneOf, isOpen, KINDS } from "../parts/jobs.js";
import { moved, useConnection, useLive } from "../parts/live.js";
import { Head, Loading, Time, Wrong } from "../parts/ui.js";
import { number } from "../parts/words.js";
import { Accounts } from "./job/accounts.js";
import { Acts } from "./job/acts.js";
import { BadRows, Reasons } from "./job/reasons.js";
import { Plan, Summary } from "./job/summary.js";
import { Passwords } from "./job/export.js";
import { Timeline } from "./job/timeline.js";

const LOOK = 2000; // ms between two looks at what events do not tell, while something moves
const POLLED = 2;
const UNTOLD = 5; // seconds: that its directory is paused, how far a plan is

// The job as it moves, and `turn`: a number that grows, at most every two seconds, as it does.
function useJob(id) {
  const [job, setJob] = useState(null);
  const open = !job || isOpen(job);
  const polled = useConnection() === "live" ? (open ? UNTOLD : 0) : POLLED;
  const asked = useAsked(`/api/jobs/${encodeURIComponent(id)}`, { every: polled });
  const put = useCallback((fresh) => setJob((old) => (isOlder(fresh, old) ? { ...fresh, ...countsOf(old) } : fresh)), []);
  useEffect(() => { if (asked.data) put(asked.data); }, [asked.data]);
  useLive("job", (event) => {
    if (event.job_id !== id) return;
    setJob((old) => old && moved(old, event));
    if (job && (event.status !== job.status || event.waits !== job.waits)) asked.again();
  }, [id, asked.again, job && job.status, job && job.waits]);
  useLive("gap", asked.again, [asked.again]);
  return { job, put: setJob, problem: asked.problem, again: asked.again, turn: useTurn(job) };
}

// An answer that was on its way while events said more.
const isOlder = (fresh, old) => old && old.status === fresh.status && isOpen(fresh) && doneOf(fresh) < doneOf(old);
const countsOf = ({ created, existing, failed, cancelled, deleted }) => ({ created, existing, failed, cancelled, deleted });

function useTurn(job) {
  const sign = job ? [job.status, job.waits, job.held, doneOf(job), job.failed, job.finished_at, job.provisional].join() : "";
  const [turn, setTurn] = useState(0);
  const timer = useRef(0);
  useEffect(() => {
    if (!sign || timer.current) return;
    timer.current = setTimeout(() => { timer.current = 0; setTurn((n) => n + 1); }, job.finished_at ? 50 : LOOK);
  }, [sign]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return turn;
}

const said = (job) => html`${number(job.count)} ${job.count === 1 ? "account" : "accounts"} in ${job.directory}, ${job.undoes
  ? html`to undo <a href=${`#/jobs/${job.undoes}`}>${job.undoes}</a>` : KINDS[job.source]}, ${job.priority} priority, asked <${Time} at=${job.created_at} />`;

// There is no use in asking again for what there is not.
const Gone = ({ problem, again }) => html`<${Wrong} problem=${problem} again=${problem.status === 404 ? undefined : again} /><p><a href="#/jobs">All jobs</a></p>`;

export default function Job({ id, query, me }) {
  const { job, put, problem, again, turn } = useJob(id);
  const filter = useMemo(() => ({
    status: query.get("status") || "", reason: query.get("reason") || "", prospect: query.get("prospect") || "", find: query.get("find") || "",
  }), [query.toString()]);
  if (!job) return html`<${Head} title=${`Job ${id}`} />${problem ? html`<${Gone} problem=${problem} again=${again} />` : html`<${Loading} what="the job" />`}`;
  return html`<${Head} title=${html`Job <code class="name">${id}</code>`} note=${said(job)}><${Acts} job=${job} me=${me} put=${put} /><//>
    <${Wrong} problem=${problem} again=${again} />
    <${Summary} job=${job} me=${me} put=${put} />
    <div class="halves"><div class="stack"><${Plan} job=${job} /><${Reasons} job=${job} turn=${turn} me=${me} /><${BadRows} job=${job} me=${me} /><${Passwords} job=${job} me=${me} /></div>
      <${Timeline} job=${job} turn=${turn} /></div>
    <${Accounts} job=${job} turn=${turn} filter=${filter} />`;
}

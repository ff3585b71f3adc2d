// Is it working, how far is it, what failed and why: in five seconds.
import { html, useEffect, useMemo, useRef, useState } from "../parts/html.js";
import { address, get, useAsked } from "../parts/api.js";
import { moved, useLive } from "../parts/live.js";
import { Chart } from "../parts/chart.js";
import { drawn, usePulses } from "../parts/pulses.js";
import { doneOf, isOpen, OPEN } from "../parts/jobs.js";
import { Card, Empty, Head, Loading, Progress, State, Time, Wrong } from "../parts/ui.js";
import { duration, number, rate, WAITS } from "../parts/words.js";

const SHOWN = 8;

function useLatest() {
  const asked = useAsked(address("/api/jobs", { limit: SHOWN }));
  const [jobs, setJobs] = useState([]);
  const soon = useRef(0);
  useEffect(() => { if (asked.data) setJobs(asked.data.items); }, [asked.data]);
  useEffect(() => () => clearTimeout(soon.current), []);
  useLive("job", (event) => setJobs((old) => {
    if (old.some((job) => job.id === event.job_id)) return old.map((job) => (job.id === event.job_id ? moved(job, event) : job));
    clearTimeout(soon.current);  // one that is not shown yet: a new one, most often
    soon.current = setTimeout(asked.again, 150);
    return old;
  }), [asked.again]);
  useLive("gap", asked.again, [asked.again]);
  return { ...asked, jobs };
}

// Why accounts of the jobs shown failed: {job id: "reason"}, the commonest of each.
function useReasons(jobs) {
  const [reasons, setReasons] = useState({});
  const asked = useRef({});
  const bad = jobs.filter((job) => job.failed > 0);
  useEffect(() => {
    for (const job of bad) {
      if (asked.current[job.id] === job.status) continue;
      asked.current[job.id] = job.status;
      get(`/api/jobs/${job.id}/reasons`).then((page) => {
        const [first] = [...page.items].sort((one, two) => two.count - one.count);
        if (first) setReasons((old) => ({ ...old, [job.id]: first.reason }));
      }, () => {});
    }
  }, [bad.map((job) => job.id + job.status).join()]);
  return reasons;
}

// What a person must know first: one line each, the worst first.
function verdicts({ workers, line, directories, pulse, speed }) {
  const found = [];
  if (workers && !workers.length) found.push(["bad", "No worker runs, so jobs wait. Start one:", "botrix worker"]);
  if (line && !line.up) found.push(["warn", "The line is down. Work goes on from the ledger, without live events.", ""]);
  for (const one of directories || []) {
    if (one.status !== "working") found.push(["warn", `Directory ${one.name} is ${one.status}: ${one.reason || "no reason was given"}.`, ""]);
  }
  const quiet = (workers || []).filter((one) => one.status === "quiet" || one.status === "draining").length;
  if (workers && workers.length && quiet === workers.length) found.push(["warn", "All workers are quiet or draining: nothing new is taken.", ""]);
  if (found.length || !pulse || !workers) return found;
  const open = OPEN.reduce((sum, name) => sum + (pulse.jobs[name] || 0), 0);
  const at = `${number(workers.length)} worker${workers.length === 1 ? "" : "s"}`;
  return [["good", open ? `Working: ${number(open)} open job${open === 1 ? "" : "s"}, ${speed === null ? "" : `${rate(speed)} accounts/s by `}${at}.` : `All is well. ${at}, nothing to do.`, ""]];
}

function Verdicts({ of }) {
  return html`<div class="verdicts" role="status">${of.map(([tone, text, command]) => html`<p key=${text} class=${`verdict ${tone}`}>
    <span aria-hidden="true">${{ good: "✓", warn: "!", bad: "✕" }[tone]}</span> ${text} ${command && html`<code>${command}</code>`}</p>`)}</div>`;
}

function Tile({ name, children, note, tone = "" }) {
  return html`<div class="tile ${tone}"><dt>${name}</dt><dd class="number">${children}</dd>${note && html`<dd class="note">${note}</dd>`}</div>`;
}

function Tiles({ pulse, speed, peak }) {
  const jobs = pulse ? pulse.jobs : {};
  const lanes = pulse && pulse.lanes;
  const waiting = lanes ? lanes.high + lanes.normal + lanes.low : null;
  return html`<dl class="tiles">
    <${Tile} name="Accounts a second" note=${peak ? `at most ${rate(peak)} of late` : ""}>${speed === null ? "–" : rate(speed)}<//>
    <${Tile} name="Waiting in the line" note=${lanes ? `${number(lanes.high)} high, ${number(lanes.normal)} normal, ${number(lanes.low)} low` : ""}>${number(waiting)}<//>
    <${Tile} name="Open jobs">${pulse ? number(OPEN.reduce((sum, name) => sum + (jobs[name] || 0), 0)) : "–"}<//>
    <${Tile} name="Jobs with failed accounts" tone=${jobs.failed ? "bad" : ""} note=${jobs.failed > 0 && html`<a href="#/jobs?status=failed">Show them</a>`}>${pulse ? number(jobs.failed || 0) : "–"}<//>
    <${Tile} name="Accounts there">${pulse ? number((pulse.accounts.created || 0) + (pulse.accounts.existing || 0)) : "–"}<//></dl>`;
}

function Outcome({ job, reason }) {
  if (job.waits) return WAITS[job.waits].says;
  const failed = job.failed > 0 && html`, <strong class="fault">${number(job.failed)} failed${reason ? `: ${reason}` : ""}</strong>`;
  const left_out = job.bad_rows > 0 && !job.undoes && html`, <strong class="heeded">${number(job.bad_rows)} ${job.bad_rows === 1 ? "row" : "rows"} left out</strong>`;
  const far = isOpen(job) ? html`${number(doneOf(job))} of ${number(job.count)}` : number(job.count);
  return html`<span class="number">${far}</span> in ${job.directory}${failed}${left_out}`;
}

function Jobs({ jobs, loading }) {
  const reasons = useReasons(jobs);
  if (loading && !jobs.length) return html`<${Loading} what="jobs" />`;
  if (!jobs.length) return html`<${Empty} action=${html`<a class="button main" href="#/new">Create accounts</a>`}>No job yet.<//>`;
  return html`<ul class="jobs">${jobs.map((job) => html`<li key=${job.id}><a href=${`#/jobs/${job.id}`}><code>${job.id.slice(0, 12)}</code></a>
    <${State} of="job" is=${job.status} note=${job.waits ? "waits for you" : job.held ? "held" : ""} />
    <${Progress} job=${job} label=${`Progress of ${job.id}`} />
    <span class="what"><${Outcome} job=${job} reason=${reasons[job.id]} /></span>
    <${Time} at=${job.created_at} /></li>`)}</ul>`;
}

// Accounts a second of each worker since the look before.
function useSpeeds(items) {
  const before = useRef({});
  const speeds = useRef({});
  useMemo(() => {
    const now = {};
    for (const one of items || []) {
      const [uptime, made] = [one.uptime_seconds, one.accounts_created + one.accounts_failed];
      const old = before.current[one.worker_id];
      now[one.worker_id] = { uptime, made };
      if (old && uptime > old.uptime) speeds.current[one.worker_id] = (made - old.made) / (uptime - old.uptime);
      else if (!old || uptime < old.uptime) speeds.current[one.worker_id] = 0;
    }
    before.current = now;
  }, [items]);
  return speeds.current;
}

function Workers({ asked }) {
  const items = asked.data ? asked.data.items : null;
  const speeds = useSpeeds(items);
  return html`<${Card} title="Workers"><${Wrong} problem=${asked.problem} />
    ${asked.data && asked.data.note && html`<p class="note">${asked.data.note}</p>`}
    ${items && !items.length && html`<${Empty}>No worker runs. Start one: <code>botrix worker</code><//>`}
    ${items && items.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Table of them"><table><thead><tr><th>Worker</th><th>State</th><th>Heartbeat</th><th>Holds</th><th class="end">Accounts/s</th><th class="end">Up</th></tr></thead><tbody>
      ${items.map((one) => html`<tr key=${one.worker_id}><th scope="row">${one.worker_id}</th><td>${one.status}</td><td><${Time} at=${one.last_heartbeat} /></td>
        <td>${one.current_job ? html`<a href=${`#/jobs/${one.current_job}`}><code>${one.current_job.slice(0, 12)}</code></a>` : "nothing"}</td>
        <td class="end number">${rate(speeds[one.worker_id] || 0)}</td><td class="end">${duration(one.uptime_seconds)}</td></tr>`)}</tbody></table></div>`}<//>`;
}

function Directories({ asked }) {
  const items = asked.data ? asked.data.items : null;
  return html`<${Card} title="Directories" more=${html`<a href="#/directories">Manage</a>`}><${Wrong} problem=${asked.problem} />
    ${items && html`<ul class="places">${items.map((one) => html`<li key=${one.name}><strong>${one.name}</strong> <span class="note">of the kind ${one.kind}</span>
      <${State} of="directory" is=${one.status} /><span class="note">${one.status === "working" ? (one.limit ? `${number(one.limit)} calls at once${one.limit_reason ? `: ${one.limit_reason}` : ""}` : "") : one.reason}</span></li>`)}</ul>`}<//>`;
}

export default function Overview() {
  const latest = useLatest();
  const { pulses, problem } = usePulses();
  const workers = useAsked("/api/workers", { every: 3 });
  const directories = useAsked("/api/directories", { every: 3 });
  const { times, speed, lanes } = drawn(pulses);
  const pulse = pulses[pulses.length - 1] || null;
  const now = speed.length ? speed[speed.length - 1] : null;
  const line = pulse ? { up: Boolean(pulse.lanes) } : null;
  const of = verdicts({ workers: workers.data && workers.data.items, line, directories: directories.data && directories.data.items, pulse, speed: now });
  return html`<${Head} title="Overview"><a class="button main" href="#/new">New job</a><//>
    <${Wrong} problem=${latest.problem || problem} again=${latest.again} /><${Verdicts} of=${of} />
    <${Tiles} pulse=${pulse} speed=${now} peak=${Math.max(0, ...speed)} />
    <${Card} title="Latest jobs" more=${html`<a href="#/jobs">All jobs</a>`}><${Jobs} ...${latest} /><//>
    <div class="cards"><${Card} title="Accounts a second"><${Chart} label="Accounts a second" times=${times} lines=${[{ label: "accounts", color: "--created", values: speed }]} unit="/s" /><//>
      <${Card} title="Waiting in the line"><${Chart} label="Jobs waiting" times=${times} lines=${[{ label: "high", color: "--failed", values: lanes.high }, { label: "normal", color: "--main", values: lanes.normal, dash: [8, 4] }, { label: "low", color: "--soft", values: lanes.low, dash: [2, 4] }]} /><//></div>
    <div class="cards"><${Workers} asked=${workers} /><${Directories} asked=${directories} /></div>`;
}

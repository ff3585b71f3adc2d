// All jobs, as they move: which run, how far they are, which failed or wait for somebody.
import { html, useMemo, useState } from "../parts/html.js";
import { doneOf, isOpen, kindOf, stallOf } from "../parts/jobs.js";
import { List } from "../parts/list.js";
import { speedOf } from "../parts/pace.js";
import { Empty, Head, Loading, Progress, State, Time, Wrong } from "../parts/ui.js";
import { duration, number, rate } from "../parts/words.js";
import { useBoard } from "./jobs/board.js";
import { Filters, filterOf, fitting, pathOf, useTimes } from "./jobs/filters.js";
import { Many } from "./jobs/many.js";

const brief = (seconds) => duration(seconds).replace(/^(\d+ \S+) .*/, "$1");
const short = (id) => (id.length > 16 ? `${id.slice(0, 12)}…` : id);

function Pace({ job }) {
  if (job.finished_at) return html`<span class="soft">took ${duration((new Date(job.finished_at) - new Date(job.created_at)) / 1000)}</span>`;
  const speed = isOpen(job) && !job.waits ? speedOf(job.trace) : null;
  if (!speed) return html`<span class="soft">–</span>`;
  return html`${rate(speed)}/s <span class="soft">· ${brief((job.count - doneOf(job)) / speed)} left</span>`;
}

const Far = ({ job }) => html`<${Progress} job=${job} label=${`Job ${job.id}`} /><span class="count number">${number(job.status === "cancelled" ? job.created + job.existing : doneOf(job))} <span class="soft">of ${number(job.count)}</span>
  ${job.failed > 0 && html`<span class="failures">${number(job.failed)} failed</span>`}${job.deleted > 0 && html`<span class="also">${number(job.deleted)} removed</span>`}
  ${job.bad_rows > 0 && !job.undoes && html`<span class="also heeded">${number(job.bad_rows)} ${job.bad_rows === 1 ? "row" : "rows"} left out</span>`}</span>`;

const COLUMNS = [
  { name: "job", title: "Job", width: "11.5em", show: (job) => html`<code>${short(job.id)}</code>${kindOf(job) && html`<span class="tag">${kindOf(job)}</span>`}` },
  { name: "state", title: "State", width: "12em", show: (job) => html`<${State} of="job" is=${job.status} note=${stallOf(job)} />` },
  { name: "progress", title: "Progress", width: "minmax(120px, 3fr)", show: (job) => html`<${Far} job=${job} />` },
  { name: "pace", title: "Pace", width: "minmax(9.5em, 1fr)", show: (job) => html`<${Pace} job=${job} />` },
  { name: "directory", title: "Directory", width: "minmax(5em, 1fr)", show: (job) => job.directory },
  { name: "asked", title: "Asked", width: "6em", show: (job) => html`<${Time} at=${job.created_at} />` },
];
const HEIGHT = 56;
const NARROW = { height: 104 };

export default function Jobs({ query, me }) {
  const filter = filterOf(query);
  const times = useTimes(filter);
  const fits = useMemo(() => fitting(filter), [filter.status, filter.directory, filter.waits]);
  const board = useBoard(pathOf(filter, times), fits);
  const [act, setAct] = useState(null);
  const operates = me.scopes.includes("operate") && !filter.waits && board.rows.length > 0;
  const some = Object.values(filter).some(Boolean);
  return html`<${Head} title="Jobs">
      ${operates && ["", "running", "pending"].includes(filter.status) && html`<button onClick=${() => setAct("cancel")}>Cancel many…</button>`}
      ${operates && ["", "failed"].includes(filter.status) && html`<button onClick=${() => setAct("retry")}>Retry many…</button>`}
      ${me.scopes.includes("submit") && html`<a class="button main" href="#/new">New job</a>`}<//>
    <${Filters} filter=${filter} />
    <${Wrong} problem=${board.problem} again=${board.again} />
    ${board.rows.length > 0 ? html`<div class="jobs-list"><${List} label="Jobs, newest first" columns=${COLUMNS} height=${HEIGHT} narrow=${NARROW} rows=${board.rows} idOf=${(job) => job.id}
        href=${(job) => `#/jobs/${job.id}`} rowLabel=${(job) => `Job ${job.id}, ${job.status}`} more=${board.next} total=${board.more ? -1 : undefined} /></div>`
      : board.loading ? html`<${Loading} what="jobs" />`
      : !board.problem && html`<${Empty} action=${!some && me.scopes.includes("submit") && html`<a class="button main" href="#/new">Create accounts</a>`}>${some ? "No job is like this." : "No job yet."}<//>`}
    ${act && html`<${Many} act=${act} filter=${filter} times=${times} close=${() => setAct(null)} after=${board.renew} />`}`;
}

// What jobs are looked for: kept in the address, as `#/jobs?status=failed&directory=lab`.
import { html, useMemo } from "../../parts/html.js";
import { address, useAsked } from "../../parts/api.js";
import { usePulse } from "../../parts/live.js";
import { refine } from "../../parts/place.js";
import { Field } from "../../parts/ui.js";
import { JOB, number } from "../../parts/words.js";

const NAMES = ["status", "directory", "waits", "since", "from", "to"];
const SINCE = { "1h": ["the last hour", 3600], "24h": ["the last 24 hours", 86400], "7d": ["the last 7 days", 604800] };
const WAITING = [["plan", "to be applied"], ["canary", "to be approved"], ["failures", "to be released"], ["paused", "to be resumed"]];

export function filterOf(query) {
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name) || ""]));
}

const utc = (local) => (local && !isNaN(new Date(local)) ? new Date(local).toISOString() : "");

// When the jobs were asked for: {created_after, created_before}, as the API wants it.
export function useTimes({ since, from, to }) {
  return useMemo(() => ({
    created_after: SINCE[since] ? new Date(Date.now() - SINCE[since][1] * 1000).toISOString() : utc(from),
    created_before: SINCE[since] ? "" : utc(to),
  }), [since, from, to]);
}

export const pathOf = ({ status, directory, waits }, times) => address("/api/jobs", { status, directory, waits, ...times });

// Whether a job, or an event of it, still is what is looked for (its time does not change).
export const fitting = ({ status, directory, waits }) => (job) =>
  (!status || job.status === status) && (!waits || job.waits === waits) && (!directory || job.directory === directory);

// How many jobs there are of each status: by pulse, and until one comes by the API.
function useCounts() {
  const pulse = usePulse();
  const { data } = useAsked("/api/jobs/stats", { every: pulse ? 0 : 5 });
  return (pulse && pulse.jobs) || (data && data.jobs) || null;
}

function Tabs({ now, choose }) {
  const counts = useCounts();
  const all = counts && Object.values(counts).reduce((sum, n) => sum + n, 0);
  const tab = (value, word, shape, n) => html`<li key=${value} class=${n || !value || now === value ? "" : "none"}><button class="tab" aria-pressed=${now === value ? "true" : "false"} onClick=${() => choose(value)}>
    ${shape && html`<span class=${`shape ${JOB[value].tone}`} aria-hidden="true">${shape}</span>`}<span class="word">${word}</span>
    ${counts && html`<span class="number">${number(n || 0)}</span>`}</button></li>`;
  return html`<ul class="tabs" aria-label="Jobs by state">${tab("", "all", "", all)}
    ${Object.keys(JOB).map((status) => tab(status, status, JOB[status].shape, counts && counts[status]))}</ul>`;
}

export function Filters({ filter }) {
  const directories = useAsked("/api/directories");
  const names = directories.data ? directories.data.items.map((one) => one.name) : [];
  const set = (change) => refine("/jobs", { ...filter, ...change });
  const when = filter.since || (filter.from || filter.to ? "between" : "");
  const some = NAMES.some((name) => filter[name]);
  const choose = (value) => set(value === "between"
    ? { since: "", from: `${new Date().toLocaleDateString("sv")}T00:00` } : { since: value, from: "", to: "" });
  return html`<${Tabs} now=${filter.status} choose=${(status) => set({ status })} />
    <div class="filters" role="search" aria-label="Filter of jobs">
      <${Field} label="Directory">${(ties) => html`<select ...${ties} value=${filter.directory} onChange=${(e) => set({ directory: e.target.value })}>
        <option value="">any</option>${[...new Set([...names, filter.directory].filter(Boolean))].map((name) => html`<option key=${name}>${name}</option>`)}</select>`}<//>
      <${Field} label="Waits for a person">${(ties) => html`<select ...${ties} value=${filter.waits} onChange=${(e) => set({ waits: e.target.value })}>
        <option value="">or not</option>${WAITING.map(([value, says]) => html`<option key=${value} value=${value}>${says}</option>`)}</select>`}<//>
      <${Field} label="Asked for in">${(ties) => html`<select ...${ties} value=${when} onChange=${(e) => choose(e.target.value)}>
        <option value="">all time</option>${Object.entries(SINCE).map(([value, [says]]) => html`<option key=${value} value=${value}>${says}</option>`)}<option value="between">a time between…</option></select>`}<//>
      ${when === "between" && ["from", "to"].map((name) => html`<${Field} key=${name} label=${name === "from" ? "From" : "To"}>${(ties) => html`
        <input type="datetime-local" ...${ties} value=${filter[name]} onChange=${(e) => set({ [name]: e.target.value })} />`}<//>`)}
      ${some && html`<button class="quiet" onClick=${() => refine("/jobs", {})}>Show all</button>`}</div>`;
}

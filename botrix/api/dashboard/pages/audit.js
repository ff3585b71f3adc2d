// Who did what, when, from where: the newest first. Lines can be added to the record, never changed.
import { html, useEffect, useRef, useState } from "../parts/html.js";
import { address, usePages } from "../parts/api.js";
import { List } from "../parts/list.js";
import { refine } from "../parts/place.js";
import { Empty, Field, Head, Loading, Time, Wrong } from "../parts/ui.js";
import { number } from "../parts/words.js";

const PAGE = 200;
const ENOUGH = 40; // lines found, until which the record is searched further back by itself
const TURNS = 20;  // searches, of many lines each, before somebody must ask
const KINDS = ["job", "account", "entry", "directory", "worker", "key", "template", "webhook", "tenant"];

const leads = (line) => line.what.startsWith("job.") && line.object;
const COLUMNS = [
  { name: "n", title: "Line", width: "4em", show: (line) => html`<span class="number">${number(line.n)}</span>` },
  { name: "at", title: "When", width: "6em", show: (line) => html`<${Time} at=${line.at} />` },
  { name: "who", title: "Who", width: "minmax(8em, 1fr)", show: (line) => html`<span title=${`${line.who}, from ${line.address}`}>${line.who} <span class="soft">${line.address}</span></span>` },
  { name: "what", title: "Did", width: "minmax(8em, .8fr)", show: (line) => html`<code>${line.what}</code>` },
  { name: "object", title: "To", width: "minmax(14em, 1.2fr)", show: (line) => (leads(line) ? html`<a href=${`#/jobs/${line.object}`}><code>${line.object}</code></a>` : html`<code title=${line.object}>${line.object}</code>`) },
  { name: "detail", title: "More", width: "minmax(8em, 1.5fr)", show: (line) => html`<span title=${line.detail}>${line.detail}</span>` },
];

export default function Audit({ query }) {
  const [kind, text] = [query.get("kind") || "", query.get("find") || ""];
  const path = address("/api/audit", { newest: true, limit: PAGE, kind, find: text });
  const record = usePages(path);
  const lines = record.items;
  const turns = useRef(0);
  useEffect(() => { turns.current = 0; }, [path]);
  const set = (change) => refine("/audit", { kind, find: text, ...change });
  const further = record.more && !record.loading && record.cursor !== undefined;
  useEffect(() => {  // what is looked for may stand further back
    if (further && lines.length < ENOUGH && turns.current++ < TURNS) record.next();
  }, [further, record.cursor]);
  const onward = () => { turns.current = 0; record.next(); };
  return html`<${Head} title="Audit" note="Who did what, when, from where. Each line is chained to the one before, so that none can be changed or left out unseen.">
      <button onClick=${record.again}>Look again</button><a class="button" href="/api/audit/export" download="audit.ndjson">Export all (NDJSON)</a><//>
    <div class="filters" role="search" aria-label="Filter of the record"><${Find} now=${text} set=${(find) => set({ find })} />
      <${Field} label="Of">${(ties) => html`<select ...${ties} value=${kind} onChange=${(e) => set({ kind: e.target.value })}>
        <option value="">everything</option>${KINDS.map((one) => html`<option key=${one}>${one}</option>`)}</select>`}<//>
      ${(kind || text) && html`<p class="soft" role="status">${number(lines.length)} ${lines.length === 1 ? "line" : "lines"}${record.more ? " so far" : ""}</p>`}</div>
    <${Wrong} problem=${record.problem} again=${record.again} />
    ${lines.length > 0 ? html`<div class="audit-list"><${List} label="Record, newest first" columns=${COLUMNS} narrow=${{ height: 92 }} rows=${lines} idOf=${(line) => line.n} more=${record.next} total=${record.more ? -1 : undefined} /></div>`
      : record.loading ? html`<${Loading} what="the record" />`
      : further ? html`<${Empty} action=${html`<button onClick=${onward}>Look further back</button>`}>None in many lines.<//>`
      : !record.problem && html`<${Empty}>${kind || text ? "No line is like this." : "Nobody did anything yet."}<//>`}`;
}

function Find({ now, set }) {
  const [value, setValue] = useState(now);
  useEffect(() => setValue(now), [now]);
  useEffect(() => {
    if (value.trim() === now) return undefined;
    const timer = setTimeout(() => set(value.trim()), 300);
    return () => clearTimeout(timer);
  }, [value]);
  return html`<${Field} label="Find">${(ties) => html`<input type="search" ...${ties} value=${value} autocomplete="off" placeholder="a job, a key, an address" onInput=${(e) => setValue(e.target.value)} />`}<//>`;
}

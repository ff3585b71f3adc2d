// The accounts of a job: by state, by reason, by the plan, by name or number. What is looked for
// stands in the address.
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../../parts/html.js";
import { address, get } from "../../parts/api.js";
import { List } from "../../parts/list.js";
import { refine } from "../../parts/place.js";
import { Card, Empty, Field, Loading, State, Time, Wrong } from "../../parts/ui.js";
import { ACCOUNT } from "../../parts/words.js";

const PAGE = 200;
const MOST = 1000;
const LOOKED_THROUGH = 5; // pages of names that other jobs may have as well

// {items, next} of what is looked for, from a cursor on.
async function page(job, { find, ...where }, cursor, limit) {
  const text = find.trim();
  if (/^\d{1,9}$/.test(text)) return one(`/api/accounts/${job}:${Number(text)}`);
  if (text.startsWith(`${job}:`)) return one(`/api/accounts/${text}`);
  if (text) return named(job, text, where, cursor);
  return get(address(`/api/jobs/${job}/accounts`, { ...where, limit, cursor }));
}

async function one(path) {
  try {
    return { items: [await get(path)], next: null };
  } catch (problem) {
    if (problem.status === 404) return { items: [], next: null };
    throw problem;
  }
}

async function named(job, username_prefix, { status, reason, prospect }, cursor) {
  const fits = (row) => row.job_id === job && (!reason || row.reason === reason) && (!prospect || row.prospect === prospect);
  const items = [];
  for (let n = 0; n < LOOKED_THROUGH; n++) {
    const found = await get(address("/api/accounts", { username_prefix, status, limit: MOST, cursor }));
    items.push(...found.items.filter(fits));
    cursor = found.next;
    if (!cursor) break;
  }
  return { items, next: cursor };
}

// What was loaded; `turn`: look again, and keep what stands further down.
function useAccounts(job, filter, turn) {
  const empty = { items: [], next: undefined, loading: true, problem: null };
  const [state, setState] = useState(empty);
  const current = useRef(0);
  const asked = JSON.stringify(filter);
  const load = useCallback(async (change) => {
    const mine = current.current;
    try {
      const loaded = await change();
      if (mine === current.current) setState((old) => ({ ...loaded(old), loading: false, problem: null }));
    } catch (problem) {
      if (mine === current.current) setState((old) => ({ ...old, loading: false, problem }));
    }
  }, []);
  useEffect(() => {
    current.current++;
    setState(empty);
    load(async () => { const first = await page(job, filter, undefined, PAGE); return () => first; });
    return () => { current.current++; };
  }, [job, asked]);
  useEffect(() => {
    if (!turn) return;
    const limit = Math.min(MOST, Math.max(PAGE, state.items.length));
    load(async () => { const fresh = await page(job, filter, undefined, limit); return (old) => joined(fresh, old); });
  }, [turn]);
  const more = () => {
    if (state.loading || !state.next) return;
    setState((old) => ({ ...old, loading: true }));
    load(async () => { const rest = await page(job, filter, state.next, MOST); return (old) => ({ items: [...old.items, ...rest.items], next: rest.next }); });
  };
  return { ...state, more, again: () => load(async () => { const first = await page(job, filter, undefined, PAGE); return () => first; }) };
}

function joined(fresh, old) {
  const last = fresh.items[fresh.items.length - 1];
  if (!last || !fresh.next) return fresh;
  const rest = old.items.filter((row) => row.index > last.index);
  return rest.length ? { items: [...fresh.items, ...rest], next: old.next } : fresh;
}

const why = (row) => [row.reason, row.detail].filter(Boolean).join(": ");
const COLUMNS = [
  { name: "number", title: "No.", width: "4.5em", show: (row) => html`<span class="number">${row.index}</span>` },
  { name: "user", title: "User name", width: "minmax(9em, 1.7fr)", show: (row) => row.username },
  { name: "state", title: "State", width: "8em", show: (row) => html`<${State} of="account" is=${row.status} />` },
  { name: "why", title: "Why", width: "minmax(8em, 2fr)", show: (row) => html`<span title=${why(row)}>${why(row) || html`<span class="soft">${planned(row)}</span>`}</span>` },
  { name: "person", title: "E-mail", width: "minmax(8em, 1.2fr)", show: (row) => row.email },
  { name: "moved", title: "Changed", width: "6em", show: (row) => html`<${Time} at=${row.updated_at} />` },
];
const FORESEEN = { create: "would be created", adopt: "another job made it", conflict: "the name is somebody else's" };
const planned = (row) => (row.status === "planned" && FORESEEN[row.prospect]) || "";

// With its password, and what happened to it.
const details = (row) => `#/accounts?account=${encodeURIComponent(row.id)}`;

export function Accounts({ job, turn, filter }) {
  const found = useAccounts(job.id, filter, turn);
  const set = (change) => refine(`/jobs/${job.id}`, { ...filter, ...change });
  const some = Object.values(filter).some(Boolean);
  const columns = useMemo(() => (found.items.some((row) => why(row) || planned(row)) ? COLUMNS : COLUMNS.filter((one) => one.name !== "why")), [found.items]);
  const card = useRef(null);
  useEffect(() => {  // who comes by a number or a reason above is led here
    if (filter.status || filter.reason || filter.prospect) card.current.scrollIntoView({ block: "start", behavior: "smooth" });
  }, [filter.status, filter.reason, filter.prospect]);
  return html`<div ref=${card} class="accounts-of"><${Card} title="Accounts">
    <div class="filters" role="search" aria-label="Filter of accounts">
      <${Find} now=${filter.find} set=${(find) => set({ find })} />
      <${Field} label="State">${(ties) => html`<select ...${ties} value=${filter.status} onChange=${(e) => set({ status: e.target.value, reason: "" })}>
        <option value="">any</option>${Object.keys(ACCOUNT).map((status) => html`<option key=${status}>${status}</option>`)}</select>`}<//>
      ${job.plan && html`<${Field} label="By the plan">${(ties) => html`<select ...${ties} value=${filter.prospect} onChange=${(e) => set({ prospect: e.target.value, reason: "" })}>
        <option value="">any</option>${Object.entries(FORESEEN).map(([value, says]) => html`<option key=${value} value=${value}>${says}</option>`)}</select>`}<//>`}
      ${filter.reason && html`<p class="chip">failed for: <strong>${filter.reason}</strong> <button class="quiet" aria-label="Whatever the reason" onClick=${() => set({ reason: "" })}>✕</button></p>`}
      ${some && html`<button class="quiet" onClick=${() => set({ find: "", status: "", reason: "", prospect: "" })}>Show all</button>`}</div>
    <${Wrong} problem=${found.problem} again=${found.again} />
    ${found.items.length > 0 ? html`<${List} label="Accounts" columns=${columns} narrow=${{ height: 84 }} rows=${found.items} idOf=${(row) => row.id} href=${details} rowLabel=${(row) => `${row.index}, ${row.username}`} more=${found.more} total=${found.next ? -1 : undefined} />`
      : found.loading ? html`<${Loading} what="accounts" />`
      : found.next ? html`<${Empty} action=${html`<button onClick=${found.more}>Look further</button>`}>None so far.<//>`
      : !found.problem && html`<${Empty}>${some ? "No account is like this." : "None is planned yet: workers plan them as they come to them."}<//>`}<//></div>`;
}

const TYPED = 300;
function Find({ now, set }) {
  const [text, setText] = useState(now);
  useEffect(() => setText(now), [now]);
  useEffect(() => {
    if (text.trim() === now) return undefined;
    const timer = setTimeout(() => set(text.trim()), TYPED);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<${Field} label="Find">${(ties) => html`<input type="search" ...${ties} value=${text} autocomplete="off" placeholder="user name or number" onInput=${(e) => setText(e.target.value)} />`}<//>`;
}

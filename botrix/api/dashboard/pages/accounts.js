// Accounts of all jobs: by the beginning of a user name and by state. `#/accounts?account=JOB:INDEX`
// (or `#/accounts/JOB:INDEX`) opens one of them.
import { html, useEffect, useRef, useState } from "../parts/html.js";
import { address, usePages } from "../parts/api.js";
import { List } from "../parts/list.js";
import { useLive } from "../parts/live.js";
import { useNarrow } from "../parts/narrow.js";
import { Empty, Field, Head, Loading, State, Time, Wrong } from "../parts/ui.js";
import { ACCOUNT, number } from "../parts/words.js";
import { One } from "./accounts_one.js";

const PAGE = 100;
const SCREEN = 40;  // rows that are worth going on for by itself
const TURNS = 20;   // pages that are searched for them before somebody must ask

const here = (asked) => address("#/accounts", asked);

// Pages that searched long hold less than asked, even nothing, and have a next one all the same:
// goes on until there is a screenful more, or it took long; then `paused`.
function useFound(path) {
  const found = usePages(path);
  const { items, more, loading, problem, cursor } = found;
  const [wanted, setWanted] = useState(SCREEN);
  const turns = useRef(0);
  useEffect(() => { setWanted(SCREEN); turns.current = 0; }, [path]);
  const short = more && !problem && cursor !== undefined && items.length < wanted;
  useEffect(() => {
    if (!short || loading || turns.current >= TURNS) return;
    turns.current++;
    found.next();
  }, [short, loading, cursor]);
  const onward = () => { turns.current = 0; setWanted(items.length + SCREEN); };
  return { ...found, paused: short && !loading && turns.current >= TURNS, more: () => { if (more) onward(); }, onward, over: !more };
}

// Looks again when jobs move, once a second at most, while what is shown is the first page; whoever has
// scrolled further is not moved away.
function useNews(found) {
  const soon = useRef(0);
  const short = found.items.length <= PAGE;
  useEffect(() => () => clearTimeout(soon.current), []);
  useLive("job", () => {
    if (!short || soon.current) return;
    soon.current = setTimeout(() => { soon.current = 0; found.again(); }, 1000);
  }, [short, found.again]);
  useLive("gap", found.again, [found.again]);
}

const wide = [
  { name: "username", title: "User name", width: "minmax(0, 1.4fr)", show: (one) => one.username },
  { name: "status", title: "State", width: "112px", show: (one) => html`<${State} of="account" is=${one.status} />` },
  { name: "name", title: "Name", show: (one) => one.display_name },
  { name: "email", title: "E-mail", width: "minmax(0, 1.4fr)", show: (one) => one.email },
  { name: "updated", title: "Changed", width: "110px", show: (one) => html`<${Time} at=${one.updated_at} />` },
];
const slim = [{ ...wide[0], width: "minmax(0, 1fr)" }, wide[1]];
const why = (one) => [one.reason, one.detail].filter(Boolean).join(": ");
const reason = { name: "why", title: "Why", width: "minmax(0, 1.6fr)", show: (one) => html`<span title=${why(one)}>${why(one)}</span>` };
const wide_why = wide.map((column) => (column.name === "name" ? reason : column));
const slim_why = [...slim, reason];

function Search({ asked, ask }) {
  const [text, setText] = useState(asked.prefix);
  const soon = useRef(0);
  const given = useRef(asked.prefix);
  useEffect(() => { if (asked.prefix !== given.current) { given.current = asked.prefix; setText(asked.prefix); } }, [asked.prefix]);
  useEffect(() => () => clearTimeout(soon.current), []);
  const typed = (event) => {
    const value = event.target.value;
    setText(value);
    clearTimeout(soon.current);
    soon.current = setTimeout(() => { given.current = value.trim(); ask({ prefix: value.trim() }); }, 250);
  };
  return html`<form class="filters" role="search" onSubmit=${(e) => e.preventDefault()}>
    <${Field} label="User name begins with">${(ties) => html`<input ...${ties} type="search" autocomplete="off" autocapitalize="none" spellcheck="false" value=${text} onInput=${typed} />`}<//>
    <${Field} label="State">${(ties) => html`<select ...${ties} value=${asked.status} onChange=${(e) => ask({ status: e.target.value })}><option value="">any</option>
      ${Object.keys(ACCOUNT).map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select>`}<//></form>`;
}

// The account whose details are open now; what was typed may be asked for after it was opened.
const opened = () => new URLSearchParams(location.hash.split("?")[1]).get("account");

export default function Accounts({ id, query, me }) {
  const narrow = useNarrow();
  const asked = { prefix: query.get("prefix") || "", status: query.get("status") || "" };
  const one = id || query.get("account");
  const found = useFound(address("/api/accounts", { username_prefix: asked.prefix, status: asked.status, limit: PAGE }));
  const ask = (more) => location.replace(here({ ...asked, ...more, account: opened() }));
  useNews(found);
  const n = found.items.length;
  const some = found.items.some(why);
  const columns = narrow ? (some ? slim_why : slim) : some ? wide_why : wide;
  const searched = asked.prefix || asked.status;
  const said = found.loading && !n ? "Searching…" : `${number(n)} ${n === 1 ? "account" : "accounts"}${found.over ? "" : " so far"}`;
  return html`<${Head} title="Accounts" note="Of all jobs"><button onClick=${found.again}>Look again</button><//>
    <${Search} asked=${asked} ask=${ask} />
    <${Wrong} problem=${found.problem} again=${found.again} />
    <p class="note" role="status">${said}${found.paused ? ": many names were searched, and there are more." : ""} ${found.paused && html`<button onClick=${found.onward}>Search on</button>`}</p>
    ${!n && found.loading ? html`<${Loading} what="accounts" />` : !n && found.over && !found.problem
      ? html`<${Empty} action=${searched ? html`<button onClick=${() => location.replace("#/accounts")}>Show all</button>` : html`<a class="button main" href="#/new">Create accounts</a>`}>
        ${searched ? "No account is like that. Capitals do not matter; the beginning of the user name does." : "No account yet."}<//>`
      : html`<div class="accounts-list"><${List} label="Accounts" columns=${columns} narrow=${some ? { height: 66 } : undefined} rows=${found.items} idOf=${(row) => row.id} more=${found.more}
        href=${(row) => here({ ...asked, account: row.id })} total=${found.over ? n + 1 : -1} /></div>`}
    ${one && html`<${One} key=${one} id=${one} me=${me} close=${() => { location.hash = here(asked).slice(1); }}
      changed=${(account) => found.put((items) => items.map((row) => (row.id === account.id ? account : row)))} />`}`;
}

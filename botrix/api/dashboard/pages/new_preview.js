// How a roster is read: what its columns mean, and who its first rows become.
import { html, useState } from "../parts/html.js";
import { useNarrow } from "../parts/narrow.js";
import { number } from "../parts/words.js";

const FIELDS = {
  username: "user name", email: "e-mail", given_name: "given name", family_name: "family name", display_name: "display name",
  password: "password", groups: "groups", title: "title", phone: "phone", employee_number: "employee number", department: "department",
  division: "division", organization: "organization", cost_center: "cost center", manager: "manager",
};
const FIXED = { template: "in the template", check: "only checked" };

// Of every column what it is now, with one changed: a field belongs to one column only.
function changed(seen, name, field) {
  const said = {};
  for (const column of seen.columns) {
    if (!column.name) continue;
    const means = column.name === name ? field : column.means;
    const taken = means && (means === field ? column.name !== name : Object.values(said).includes(means));
    if (means && !taken && FIELDS[means]) said[column.name] = means;
    else if (!FIXED[means]) said[column.name] = null;
  }
  return said;
}

export function Columns({ seen, columns, change }) {
  const own = Object.keys(columns).length > 0;
  const ignored = seen.columns.filter((column) => !column.means).length;
  if (!seen.columns.length) return null;
  return html`<section aria-label="Columns"><header class="head"><h2>${seen.columns.length} columns${ignored ? `, ${ignored} ignored` : ""}</h2>
      ${own && html`<button type="button" class="quiet" onClick=${() => change({})}>As they were recognised</button>`}</header>
    <ul class="read-as">${seen.columns.map((column, at) => html`<li key=${at} class=${column.means ? "" : "ignored"}>
      <label for=${`column-${at}`}><code>${column.name || "(no name)"}</code></label><span aria-hidden="true">→</span>
      <select id=${`column-${at}`} value=${column.means || ""} disabled=${!column.name || Boolean(FIXED[column.means])}
        onChange=${(e) => change(changed(seen, column.name, e.target.value || null))}><option value="">ignored</option>
        ${FIXED[column.means] && html`<option value=${column.means}>${FIXED[column.means]}</option>`}
        ${Object.entries(FIELDS).map(([name, title]) => html`<option key=${name} value=${name}>${title}</option>`)}</select></li>`)}</ul></section>`;
}

const more = (row) => [row.groups.join("; "), ...Object.entries(row.attributes).map(([name, value]) => `${FIELDS[name] || name}: ${value}`)].filter(Boolean).join(" · ");

function Row({ row }) {
  if (row.reason) return html`<tr class="bad"><th scope="row" class="end">${row.row}</th><td colspan="4"><span class="state bad"><span class="shape" aria-hidden="true">✕</span>left out</span> ${row.reason}</td></tr>`;
  return html`<tr><th scope="row" class="end">${row.row}</th><td><strong>${row.username}</strong></td><td>${row.display_name}</td><td>${row.email}</td><td class="note">${more(row)}</td></tr>`;
}

// The same on a phone.
function Line({ row }) {
  if (row.reason) return html`<li><span>Row ${row.row} <span class="state bad"><span class="shape" aria-hidden="true">✕</span>left out</span></span><span>${row.reason}</span></li>`;
  return html`<li><span>Row ${row.row} <strong>${row.username}</strong></span><span>${row.display_name}</span><span class="note">${row.email}</span><span class="note">${more(row)}</span></li>`;
}

const Table = ({ rows }) => html`<table><thead><tr><th scope="col" class="end">Row</th><th scope="col">User name</th><th scope="col">Name</th><th scope="col">E-mail</th><th scope="col">Groups and more</th></tr></thead>
  <tbody>${rows.map((row) => html`<${Row} key=${row.row} row=${row} />`)}</tbody></table>`;

export function Rows({ seen, whole }) {
  const narrow = useNarrow();
  const [only, setOnly] = useState(false);
  const bad = seen.rows.filter((row) => row.reason);
  const rows = only && bad.length ? bad : seen.rows;
  const all = whole && seen.rows.length < 100;
  const n = seen.rows.length;
  const said = `${all ? (n === 1 ? "The one row" : `All ${number(n)} rows`) : `The first ${number(n)} rows`}: ${number(n - bad.length)} can be used${bad.length ? `, ${number(bad.length)} cannot` : ""}.`;
  if (!n) return html`<p role="status">There is a header, and no row beneath it.</p>`;
  return html`<div class="head"><p role="status">${said}${all ? "" : " The rest is read when it is sent."}</p>
      ${bad.length > 0 && html`<button type="button" aria-pressed=${only} onClick=${() => setOnly(!only)}>Only what is wrong</button>`}</div>
    <div class="scroll" tabindex="0" role="region" aria-label="First rows, scrolls">${narrow ? html`<ul class="people">${rows.map((row) => html`<${Line} key=${row.row} row=${row} />`)}</ul>` : html`<${Table} rows=${rows} />`}</div>`;
}

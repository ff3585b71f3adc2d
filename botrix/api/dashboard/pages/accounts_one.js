// One account: what it is, what happened to it, and its password, once.
import { Fragment, html, useEffect, useRef } from "../parts/html.js";
import { useAsked } from "../parts/api.js";
import { Dialog } from "../parts/dialog.js";
import { told } from "../parts/happened.js";
import { Loading, State, Time, Wrong } from "../parts/ui.js";
import { ACCOUNT } from "../parts/words.js";
import { Password } from "./accounts_password.js";

const PROSPECT = { create: "it would be created", adopt: "it would count as existing: another job made it", conflict: "it would fail: the name is somebody else's" };

const Fact = ({ name, children }) => (children || children === 0 ? html`<div><dt>${name}</dt><dd>${children}</dd></div>` : null);

function Facts({ account, job }) {
  const names = [account.given_name, account.family_name].filter(Boolean).join(" ");
  return html`<dl class="known">
    <${Fact} name="State"><${State} of="account" is=${account.status} /> <span class="note">${ACCOUNT[account.status]?.means}</span><//>
    ${account.reason && html`<${Fact} name="Why"><strong>${account.reason}</strong>${account.detail && html` <span class="note">${account.detail}</span>`}<//>`}
    ${account.prospect && account.status === "planned" && html`<${Fact} name="By the plan">${PROSPECT[account.prospect]}<//>`}
    <${Fact} name="Name">${account.display_name || names}<//>
    <${Fact} name="E-mail">${account.email}<//>
    <${Fact} name="Groups">${account.groups.join("; ")}<//>
    ${Object.entries(account.attributes).map(([name, value]) => html`<${Fact} key=${name} name=${name.replaceAll("_", " ")}>${value}<//>`)}
    <${Fact} name="Job"><a href=${`#/jobs/${account.job_id}`}><code>${account.job_id}</code></a> <span class="note">${account.row === null ? `number ${account.index + 1}` : `row ${account.row} of its roster`}</span><//>
    <${Fact} name="Directory">${job && job.directory}<//>
    <${Fact} name="Entry there">${account.entry_id && html`<code>${account.entry_id}</code>`}<//>
    <${Fact} name="Tries">${account.tries}<//>
    <${Fact} name="Changed"><${Time} at=${account.updated_at} /><//></dl>`;
}

function History({ id, of }) {
  const { data, problem, again, loading } = useAsked(`/api/accounts/${id}/history?limit=200`);
  const known = useRef(of);
  useEffect(() => { if (known.current !== of) { known.current = of; again(); } }, [of]);
  return html`<section aria-label="History"><h3>What happened</h3><${Wrong} problem=${problem} again=${again} />
    ${loading && !data && html`<${Loading} what="its history" />`}
    ${data && html`<ol class="happened">${data.items.map((item, at) => {
      const { says, why, by } = told(item);
      return html`<li key=${at}><${Time} at=${item.at} /><div><span>${says}</span>${why && html` <span class="note">${why}</span>`}${by && html` <span class="note">(${by})</span>`}</div></li>`;
    })}</ol>${data.next && html`<p class="note">There is more: <code>botrix explain ${id}</code></p>`}`}</section>`;
}

export function One({ id, me, close, changed }) {
  const { data: account, problem, again } = useAsked(`/api/accounts/${encodeURIComponent(id)}`);
  const { data: job } = useAsked(account ? `/api/jobs/${account.job_id}` : null);
  const renew = async (known) => { if (known) changed(known); await again(); };
  return html`<${Dialog} title=${account ? account.username : "Account"} close=${close}>
    <${Wrong} problem=${problem} again=${again} />
    ${!account && !problem && html`<${Loading} what="the account" />`}
    ${account && html`<${Fragment}><${Facts} account=${account} job=${job} />
      ${me.scopes.includes("reveal") && html`<${Password} account=${account} renew=${renew} />`}
      <${History} id=${account.id} of=${account.updated_at} /><//>`}<//>`;
}

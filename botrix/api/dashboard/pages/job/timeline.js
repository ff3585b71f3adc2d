// What happened to the job and why, in order. Between two things that happened to the job as a
// whole, what happened to its accounts is told by kind and reason, not one by one.
import { html, useEffect, useState } from "../../parts/html.js";
import { usePages } from "../../parts/api.js";
import { Card, Loading, Wrong } from "../../parts/ui.js";
import { ACCOUNT, JOB, WAITED } from "../../parts/happened.js";
import { number } from "../../parts/words.js";

const SHOWN = 50;

// [{of: "job", item} | {of: "accounts", what, reason, items}]
export function storyOf(items) {
  const story = [];
  let groups = new Map();
  for (const item of items) {
    if (!item.account) {
      story.push({ of: "job", item });
      groups = new Map();
      continue;
    }
    const key = `${item.what}|${item.reason || ""}`;
    if (!groups.has(key)) {
      groups.set(key, { of: "accounts", what: item.what, reason: item.reason, items: [] });
      story.push(groups.get(key));
    }
    groups.get(key).items.push(item);
  }
  return story;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
function When({ at }) {
  const time = new Date(at);
  const day = time.toDateString() === new Date().toDateString() ? "" : `${time.toLocaleDateString(undefined, { day: "numeric", month: "short" })} `;
  return html`<time datetime=${at} title=${time.toLocaleString()}>${day}${time.toLocaleTimeString(undefined, CLOCK)}</time>`;
}
const numbered = (account) => `No. ${account.slice(account.lastIndexOf(":") + 1)}`;

function OfJob({ item }) {
  const [tone, words] = JOB[item.what] || ["calm", item.what];
  const why = item.what === "waits" ? WAITED[item.reason] || item.reason : [item.reason, item.detail].filter(Boolean).join(": ");
  return html`<li class=${tone}><${When} at=${item.at} /><p>${words}${why && html`<span class="soft">: ${why}</span>`}</p></li>`;
}

function OfAccounts({ what, reason, items }) {
  const [tone, one, many] = ACCOUNT[what] || ["calm", what, what];
  const n = new Set(items.map((item) => item.account)).size;
  const times = items.length > n ? ` (${number(items.length)} times)` : "";
  const line = html`${n === 1 ? `Account ${numbered(items[0].account)} ${one}` : `${number(n)} accounts ${many}`}${times}${reason && html`<span class="soft">: ${reason}</span>`}`;
  return html`<li class=${tone}><${When} at=${items[0].at} /><details><summary>${line}</summary><ul>
    ${items.slice(0, SHOWN).map((item, at) => html`<li key=${at}><${When} at=${item.at} /> <span>${numbered(item.account)}${item.attempt ? `, attempt ${item.attempt}` : ""}${item.worker ? `, ${item.worker}` : ""}
      ${item.detail && html`<span class="soft">: ${item.detail}</span>`}</span></li>`)}
    ${items.length > SHOWN && html`<li class="soft">and ${number(items.length - SHOWN)} more</li>`}</ul></details></li>`;
}

export function Timeline({ job, turn }) {
  const pages = usePages(`/api/jobs/${job.id}/history?limit=1000`);
  const [asked, setAsked] = useState(false);
  useEffect(() => { if (turn && !asked) pages.again(); }, [turn]);
  const story = storyOf(pages.items);
  return html`<${Card} title="What happened"><${Wrong} problem=${pages.problem} again=${pages.again} />
    ${!story.length && pages.loading && html`<${Loading} what="the history" />`}
    <ol class="timeline">${story.map((part, at) => (part.of === "job" ? html`<${OfJob} key=${at} item=${part.item} />` : html`<${OfAccounts} key=${at} ...${part} />`))}</ol>
    ${pages.more && pages.items.length > 0 && html`<button disabled=${pages.loading} onClick=${() => { setAsked(true); pages.next(); }}>Show what followed</button>`}<//>`;
}

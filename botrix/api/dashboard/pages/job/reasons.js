// Why accounts failed, the most frequent reason first, and what to do about it.
import { html, useEffect, useState } from "../../parts/html.js";
import { address, get, useAsked } from "../../parts/api.js";
import { link } from "../../parts/place.js";
import { Action, Card } from "../../parts/ui.js";
import { number } from "../../parts/words.js";
import { tell } from "../../parts/toast.js";
import { download } from "../../parts/download.js";

const FEW = 8;

// What the directory said, of one account for each reason: {reason: "detail"}.
function useExamples(job, reasons) {
  const [said, setSaid] = useState({});
  useEffect(() => {
    let there = true;
    for (const reason of reasons) {
      get(address(`/api/jobs/${job}/accounts`, { status: "failed", reason, limit: 1 })).then(({ items: [row] }) => {
        if (there && row && row.detail) setSaid((old) => ({ ...old, [reason]: row.detail }));
      }, () => {});
    }
    return () => { there = false; };
  }, [job, reasons.join("\n")]);
  return said;
}

export function Reasons({ job, turn, me }) {
  const { data, again } = useAsked(job.failed > 0 ? `/api/jobs/${job.id}/reasons` : null);
  const [all, setAll] = useState(false);
  useEffect(() => { if (turn) again(); }, [turn]);
  const found = data ? data.items : [];
  const shown = all ? found : found.slice(0, FEW);
  const examples = useExamples(job.id, shown.slice(0, FEW).map((one) => one.reason).filter(Boolean));
  if (!job.failed || !found.length) return null;
  const most = Math.max(...found.map((one) => one.count));
  const more = job.source === "import" && !job.undoes && html`<${FailedRows} job=${job} me=${me} />`;
  return html`<${Card} title="Why accounts failed" more=${more}><ol class="reasons">
    ${shown.map(({ reason, count }) => html`<li key=${reason}><a href=${link(`/jobs/${job.id}`, { status: "failed", reason })}>${reason || "no reason given"}</a>
      <span class="number">${number(count)}</span>${examples[reason] && html`<span class="soft such">${examples[reason]}</span>`}<span class="share" aria-hidden="true"><span style=${{ width: `${(count / most) * 100}%` }}></span></span></li>`)}</ol>
    ${found.length > FEW && html`<button class="quiet" aria-expanded=${all ? "true" : "false"} onClick=${() => setAll(!all)}>${all ? "Fewer" : `All ${number(found.length)} reasons`}</button>`}<//>`;
}

// The rows as they were sent, to be mended and sent again.
function FailedRows({ job, me }) {
  const does = async () => {
    const headers = await download("GET", `/api/jobs/${job.id}/failed-rows`, `${job.id}-failed.csv`);
    const secret = headers.get("Botrix-Passwords") === "yes";
    tell(`${number(Number(headers.get("Botrix-Rows")))} rows to be mended.${secret ? " They hold passwords in the clear." : ""}`);
  };
  const note = me.scopes.includes("reveal") ? "With the passwords of the roster, if it had any: in the clear" : undefined;
  return html`<${Action} does=${does} title=${note}>Download failed rows<//>`;
}

// Rows of the roster that were left out before anything was asked of the directory.
export function BadRows({ job, me }) {
  const { data } = useAsked(job.bad_rows > 0 && !job.undoes ? `/api/jobs/${job.id}/rows?limit=1000` : null);
  if (!data || !data.items.length) return null;
  const more = job.failed === 0 && html`<${FailedRows} job=${job} me=${me} />`;
  return html`<${Card} title=${`${number(job.bad_rows)} ${job.bad_rows === 1 ? "row was" : "rows were"} left out`} more=${more}>
    <div class="scrolls rows-out" tabindex="0" role="region" aria-label="Rows that were left out"><table><thead><tr><th scope="col" class="end">Row</th><th scope="col">Why</th></tr></thead>
      <tbody>${data.items.map(({ row, reason }) => html`<tr key=${row}><td class="end number">${number(row)}</td><td class="wraps">${reason}</td></tr>`)}</tbody></table></div>
    ${data.next && html`<p class="soft">These are the first ${number(data.items.length)}; the file of failed rows has all.</p>`}<//>`;
}

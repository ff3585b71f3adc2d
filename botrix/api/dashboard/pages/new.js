// New accounts: a number of them, or one for each row of a roster. `#/new/JOB` is the plan of a job
// that was only looked at so far.
import { html } from "../parts/html.js";
import { Empty, Head } from "../parts/ui.js";
import { CountForm } from "./new_count.js";
import { RosterForm } from "./new_roster.js";
import { Plan } from "./new_plan.js";

const WAYS = [
  { name: "", href: "#/new", title: "A number", says: "Names are made up for them" },
  { name: "roster", href: "#/new?from=roster", title: "A roster", says: "One for each row of a CSV or NDJSON file" },
];

export default function New({ id, query, me }) {
  if (id) return html`<${Plan} id=${id} me=${me} />`;
  if (!me.scopes.includes("submit")) {
    return html`<${Head} title="New job" /><${Empty}>Your key may look, but not ask for accounts. Ask who made it for one that may submit.<//>`;
  }
  const way = query.get("from") === "roster" ? "roster" : "";
  return html`<${Head} title="New job" />
    <nav class="sorts" aria-label="What the accounts are made of">${WAYS.map((one) => html`<a key=${one.name} href=${one.href}
      aria-current=${one.name === way ? "page" : undefined}><strong>${one.title}</strong><span>${one.says}</span></a>`)}</nav>
    ${way ? html`<${RosterForm} me=${me} />` : html`<${CountForm} />`}`;
}

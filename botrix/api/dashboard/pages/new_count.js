// So many accounts, whose names are made up by a pattern.
import { html, useState } from "../parts/html.js";
import { post } from "../parts/api.js";
import { useSending } from "../parts/once.js";
import { Card, Field, Wrong } from "../parts/ui.js";
import { number } from "../parts/words.js";
import { asAsked, CAREFUL, directoryOf, More, useDirectories, Where } from "./new_run.js";

const USUAL = "{given}.{family}.{random}";
const EXAMPLE = { given: "ada", family: "lovelace", random: "k3m7x2pqat" };

// "lab-{n:03}" -> "lab-001"; what is no placeholder stays, and the API says so.
const such = (pattern) => pattern.replace(/\{n(?::0([1-9]))?\}/g, (_, width) => "1".padStart(Number(width || 1), "0"))
  .replace(/\{(given|family|random)\}/g, (_, name) => EXAMPLE[name]);

export function CountForm() {
  const [run, setRun] = useState({ ...CAREFUL, count: "10", groups: "", template: "" });
  const directories = useDirectories();
  const change = (more) => setRun((old) => ({ ...old, ...more }));
  const { busy, problem, send } = useSending(async (wish, key) => {
    const job = await post("/api/accounts/generate", wish, { once: key });
    location.hash = wish.dry_run ? `#/new/${job.id}` : `#/jobs/${job.id}`;
  });
  const submit = (event) => {
    event.preventDefault();
    const groups = run.groups.split(";").map((one) => one.trim()).filter(Boolean);
    send({
      count: Number(run.count), directory: directoryOf(run, directories.there), priority: run.priority,
      template: run.template.trim() || undefined, groups: groups.length ? groups : undefined, ...asAsked(run),
    });
  };
  const n = Number(run.count);
  return html`<form class="new" onSubmit=${submit}><${Card} label="A number of accounts">
    <div class="asked">
    <${Field} label="How many" hint="1 to 1,000,000">${(ties) => html`<input ...${ties} type="number" inputmode="numeric" required min="1" max="1000000" step="1"
      value=${run.count} onInput=${(e) => change({ count: e.target.value })} />`}<//>
    <${Where} run=${run} change=${change} directories=${directories} />
    <${Field} label="User names" hint=${`Such as ${such(run.template || USUAL)}. Put in {n}, {n:03}, {random}, {given}, {family}.`}>${(ties) => html`
      <input ...${ties} autocomplete="off" spellcheck="false" maxlength="256" placeholder=${USUAL} value=${run.template} onInput=${(e) => change({ template: e.target.value })} />`}<//>
    <${Field} label="Groups" hint="All of them are to be in these. Separate by semicolons.">${(ties) => html`
      <input ...${ties} autocomplete="off" placeholder="none" value=${run.groups} onInput=${(e) => change({ groups: e.target.value })} />`}<//>
    </div>
    <${More} run=${run} change=${change} looks />
    <${Wrong} problem=${problem} />
    <div class="actions"><button class="main" disabled=${busy || !directories.known} aria-busy=${busy}>
      ${run.dry_run ? "Look at" : "Create"} ${n >= 1 ? number(n) : ""} ${n === 1 ? "account" : "accounts"}</button></div><//></form>`;
}

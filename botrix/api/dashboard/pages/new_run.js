// What both forms ask: into which directory, how soon, and how carefully.
import { html } from "../parts/html.js";
import { useAsked } from "../parts/api.js";
import { Field, Wrong } from "../parts/ui.js";

export const CAREFUL = { directory: "", priority: "normal", dry_run: false, canary: "", error_rate: "", max_failures: "", on_conflict: "skip", not_before: "" };

// The chosen directory, or the one that is usual.
export const directoryOf = (run, there) => run.directory || (there.some((one) => one.name === "local") ? "local" : there[0]?.name || "local");

// As the API takes it: what is left at its usual value is left out.
export function asAsked(run) {
  const whole = (text) => (text === "" ? undefined : Number(text));
  const canary = whole(run.canary);
  return {
    dry_run: run.dry_run || undefined,
    canary,
    max_error_rate: canary === undefined || run.error_rate === "" ? undefined : Number(run.error_rate) / 100,
    max_failures: whole(run.max_failures),
    on_conflict: run.on_conflict === "skip" ? undefined : run.on_conflict,
    not_before: run.not_before ? new Date(run.not_before).toISOString() : undefined,
  };
}

export function useDirectories() {
  const { data, problem, again } = useAsked("/api/directories");
  return { there: data ? data.items : [], known: Boolean(data), problem, again };
}

export function Where({ run, change, directories }) {
  const { there, known, problem, again } = directories;
  const name = directoryOf(run, there);
  const chosen = there.find((one) => one.name === name);
  const waits = chosen && chosen.status !== "working" && `It is ${chosen.status}${chosen.reason ? ` (${chosen.reason})` : ""}: the job may wait.`;
  return html`<${Wrong} problem=${problem} again=${again} />
    <${Field} label="Directory" hint=${waits || (chosen ? `Of the kind ${chosen.kind}` : known ? "None is there yet. Add one first: Directories." : "")}>${(ties) => html`
      <select ...${ties} value=${name} onChange=${(e) => change({ directory: e.target.value })}>
        ${there.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select>`}<//>
    <${Field} label="Priority" hint="High goes before the others">${(ties) => html`
      <select ...${ties} value=${run.priority} onChange=${(e) => change({ priority: e.target.value })}>
        <option value="high">high</option><option value="normal">normal</option><option value="low">low</option></select>`}<//>`;
}

const numeric = (run, change, name, more) => (ties) => html`<input ...${ties} type="number" inputmode="numeric" ...${more}
  value=${run[name]} onInput=${(e) => change({ [name]: e.target.value })} />`;

// What rarely is needed. looks: whether it offers to look first by itself.
export function More({ run, change, looks }) {
  return html`<details class="more"><summary>More: ${looks ? "look first, " : ""}a few first, stop when it goes wrong, begin later</summary><div class="asked">
    ${looks && html`<div class="field"><label class="check"><input type="checkbox" checked=${run.dry_run} aria-describedby="dry-hint"
      onChange=${(e) => change({ dry_run: e.target.checked })} />Look first (dry run)</label>
      <p class="hint" id="dry-hint">Every name is looked up in the directory; nothing is created until the plan is applied.</p></div>`}
    <${Field} label="A few first (canary)" hint="Creates so many, then waits until somebody has looked at them.">${numeric(run, change, "canary", { min: 1, max: 1000000, placeholder: "all at once" })}<//>
    <${Field} label="… of which may fail, in %" hint="Then it goes on by itself. Empty: it waits in any case.">${numeric(run, change, "error_rate", { min: 0, max: 100, step: "any", disabled: run.canary === "", placeholder: "waits in any case" })}<//>
    <${Field} label="Stop after failures" hint="Waits when more than so many have failed; what was under way still ends.">${numeric(run, change, "max_failures", { min: 0, max: 1000000, placeholder: "never" })}<//>
    <${Field} label="What another job of yours made" hint="Botrix never changes an account that exists, whoever made it.">${(ties) => html`
      <select ...${ties} value=${run.on_conflict} onChange=${(e) => change({ on_conflict: e.target.value })}>
        <option value="skip">counts as existing</option><option value="fail">fails</option></select>`}<//>
    <${Field} label="Not before" hint="Begins then, by the clock of this browser. Empty: at once.">${(ties) => html`
      <input ...${ties} type="datetime-local" value=${run.not_before} onInput=${(e) => change({ not_before: e.target.value })} />`}<//>
    </div></details>`;
}

// A form for a new directory, drawn from what its kind says of its settings. It may be checked
// before it is added. Secrets leave the page's memory with the form.
import { html, useMemo, useRef, useState } from "../parts/html.js";
import { intention, post, useAsked } from "../parts/api.js";
import { Findings } from "../parts/findings.js";
import { tell } from "../parts/toast.js";
import { Action, Card, Field, Head, Loading, Wrong } from "../parts/ui.js";

const RULES = [
  { name: "length", type: "integer", help: "Characters; 22 at least." },
  { name: "upper", type: "boolean", help: "An upper-case letter must be there." },
  { name: "lower", type: "boolean", help: "A lower-case letter must be there." },
  { name: "digit", type: "boolean", help: "A digit must be there." },
  { name: "sign", type: "boolean", help: "A sign must be there." },
  { name: "signs", type: "text", help: "The signs that may be there, like -_!" },
  { name: "must_change", type: "boolean", help: "Must be changed at the first sign-in, where the directory can demand that." },
].map((one) => ({ choices: [], ways: [], ...one }));
const PLACEHOLDERS = { list: "One a line", map: "One a line: name = value" };
const NAMES = { url: "URL", token_url: "Token URL", allow_http: "Allow HTTP", start_tls: "Start TLS", ca_file: "CA file", bind_dn: "Bind DN", rdn: "RDN", client_id: "Client ID", realm: "Realm" };
const called = (name) => NAMES[name] || `${name[0].toUpperCase()}${name.slice(1).replaceAll("_", " ")}`;
const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

// What a field holds, as the API wants it.
function valueOf(setting, text) {
  switch (setting.type) {
    case "integer": case "number": return Number(text);
    case "boolean": return text === "true";
    case "list": return lines(text);
    case "map": return Object.fromEntries(lines(text).map((line) => line.split("=").map((part) => part.trim()).slice(0, 2)));
    default: return text.trim();
  }
}

// Without what was left empty: then the default counts.
function filled(settings, said) {
  const given = settings.filter((one) => (said[one.name] || "").trim() !== "");
  return Object.fromEntries(given.map((one) => [one.name, one.secret ? said[one.name] : valueOf(one, said[one.name])]));
}

function usual(setting) {
  const { default: value } = setting;
  if (value === null || value === undefined || Array.isArray(value) || typeof value === "object") return "";
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
}

function Choice({ about, value, required, empty, of, set }) {
  return html`<select ...${about} required=${required} value=${value} onChange=${(e) => set(e.target.value)}>
    <option value="">${empty}</option>${of.map(([one, shown]) => html`<option key=${one} value=${one}>${shown}</option>`)}</select>`;
}

function Input({ setting, about, value, required, set }) {
  const empty = required ? "Choose one" : usual(setting) ? `As usual: ${usual(setting)}` : "As usual";
  const common = { ...about, required, value, autocomplete: "off", onInput: (e) => set(e.target.value) };
  if (setting.choices.length) return html`<${Choice} about=${about} value=${value} required=${required} empty=${empty} of=${setting.choices.map((one) => [one, one])} set=${set} />`;
  if (setting.type === "boolean") return html`<${Choice} about=${about} value=${value} empty=${empty} of=${[["true", "yes"], ["false", "no"]]} set=${set} />`;
  if (setting.type in PLACEHOLDERS) return html`<textarea ...${common} rows="2" placeholder=${PLACEHOLDERS[setting.type]}></textarea>`;
  if (setting.secret) return html`<input ...${common} type="password" autocomplete="new-password" />`;
  if (setting.type === "integer" || setting.type === "number") return html`<input ...${common} type="number" min="0" step=${setting.type === "integer" ? "1" : "any"} placeholder=${usual(setting)} />`;
  return html`<input ...${common} spellcheck=${false} placeholder=${usual(setting)} />`;
}

function Fields({ of, said, say, wrong, optional = " (optional)" }) {
  return of.map((one) => html`<${Field} key=${one.name} label=${`${called(one.name)}${one.required ? "" : optional}`} hint=${one.help} wrong=${wrong[one.name]}>
    ${(about) => html`<${Input} setting=${one} about=${about} value=${said[one.name] || ""} required=${Boolean(one.required)} set=${(text) => say(one.name, text)} />`}<//>`);
}

// The ways to sign in that a kind knows: one of them is chosen, and its settings are shown.
function SignInBy({ ways, way, choose, children }) {
  if (!ways.length) return children;
  return html`<fieldset class="ways"><legend>Sign in by</legend><div class="choices">${ways.map((one) => html`<label key=${one}>
    <input type="radio" name="way" checked=${one === way} onChange=${() => choose(one)} /> ${one}</label>`)}</div>${children}</fieldset>`;
}

// A line of the API about `name` belongs to that field.
function wrongs(problem) {
  if (!problem) return {};
  const [, named] = problem.detail.match(/^`(\w+)`/) || [];
  const found = Object.fromEntries((problem.errors || []).map((e) => [e.field.split(".").pop(), e.message]));
  return named ? { ...found, [named]: problem.detail } : found;
}

function useForm(kind) {
  const [name, setName] = useState("");
  const [said, setSaid] = useState({});
  const [rules, setRules] = useState({});
  const [way, choose] = useState("");
  const ways = useMemo(() => [...new Set(kind ? kind.settings.flatMap((one) => one.ways) : [])], [kind]);
  const chosen = ways.includes(way) ? way : ways[0];
  const shown = kind ? kind.settings.filter((one) => one.here && (!one.ways.length || one.ways.includes(chosen))) : [];
  const [plain, secret] = [shown.filter((one) => !one.secret), shown.filter((one) => one.secret)];
  const body = kind && {
    kind: kind.kind, settings: filled(plain, said), secrets: filled(secret, said), policy: filled(RULES, rules),
  };
  const put = (set) => (key, text) => set((old) => ({ ...old, [key]: text }));
  return { name, setName, said, say: put(setSaid), rules, rule: put(setRules), ways, way: chosen, choose, shown, body };
}

function Parts({ kind, form, wrong }) {
  const { said, say, shown } = form;
  const rest = shown.filter((one) => !one.ways.length);
  const hidden = kind.settings.filter((one) => !one.here).map((one) => one.name);
  const groups = { wanted: rest.filter((one) => one.required), more: rest.filter((one) => !one.required), way: shown.filter((one) => one.ways.length) };
  return html`<${Fields} of=${groups.wanted} said=${said} say=${say} wrong=${wrong} />
    <${SignInBy} ways=${form.ways} way=${form.way} choose=${form.choose}><${Fields} of=${groups.way} said=${said} say=${say} wrong=${wrong} /><//>
    <details open=${groups.more.some((one) => wrong[one.name]) || undefined}><summary>More settings</summary><div class="fields"><${Fields} of=${groups.more} optional="" said=${said} say=${say} wrong=${wrong} />
      ${hidden.length > 0 && html`<p class="note">At the terminal alone: ${hidden.map((one) => html`<code key=${one}>${one}</code> `)}</p>`}</div></details>
    <details><summary>What its passwords must be</summary><div class="fields"><${Fields} of=${RULES} optional="" said=${form.rules} say=${form.rule} wrong=${wrong} /></div></details>`;
}

function Kind({ kinds, kind, choose }) {
  const [mine, others] = [kinds.filter((one) => one.here && !one.problem), kinds.filter((one) => !one.here || one.problem)];
  const about = kind && `From ${kind.package}.`;
  return html`<${Field} label="Kind" hint=${about}>${(ties) => html`<select ...${ties} required value=${kind ? kind.kind : ""} onChange=${(e) => choose(e.target.value)}>
    <option value="">Choose one</option>${mine.map((one) => html`<option key=${one.kind} value=${one.kind}>${one.kind}</option>`)}
    ${others.length > 0 && html`<optgroup label="At the terminal alone">${others.map((one) => html`<option key=${one.kind} disabled title=${one.problem || ""}>${one.kind}</option>`)}</optgroup>`}</select>`}<//>`;
}

function Form({ kinds }) {
  const [chosen, choose] = useState("");
  const kind = kinds.find((one) => one.kind === chosen) || null;
  const form = useForm(kind);
  const [problem, setProblem] = useState(null);
  const [checked, setChecked] = useState({ of: "", found: null });
  const said = JSON.stringify(form.body);
  const found = checked.of === said ? checked.found : null;
  const once = useMemo(intention, [said, form.name]);
  const wrong = wrongs(problem);
  const send = (path, body, more) => post(path, body, more).then((answer) => { setProblem(null); return answer; }, (error) => { setProblem(error); throw error; });
  const box = useRef(null);
  const whole = (named) => [...box.current.elements].every((one) => (one.name === "name" && !named) || one.reportValidity());
  const check = async () => {
    if (whole(false)) setChecked({ of: said, found: await send("/api/directories/check", form.body) });
  };
  const add = async () => {
    if (!whole(true)) return;
    await send("/api/directories", { name: form.name.trim(), ...form.body }, { once });
    tell(`${form.name.trim()} was added`);
    location.hash = "#/directories";
  };
  const sure = found && found.usable;
  return html`<form class="fields" ref=${box} noValidate onSubmit=${(e) => e.preventDefault()} autocomplete="off"><${Card} label="The directory">
    <${Kind} kinds=${kinds} kind=${kind} choose=${(name) => { setProblem(null); choose(name); }} />
    <${Field} label="Name" hint="What jobs call it: letters, digits and _.-" wrong=${wrong.name}>${(about) => html`<input ...${about} name="name" required maxlength="64" pattern="[A-Za-z0-9_][A-Za-z0-9_.\\-]*" autocomplete="off" spellcheck=${false}
      value=${form.name} onInput=${(e) => form.setName(e.target.value)} />`}<//>
    ${kind && html`<${Parts} kind=${kind} form=${form} wrong=${wrong} />`}<//>
    <div role="status">${found && html`<${Findings} of=${found} name=${form.name.trim() || "It"} />`}</div>
    <div class="actions"><${Action} kind=${sure ? "" : "main"} disabled=${!kind} does=${check}>Check<//>
      <${Action} kind=${sure ? "main" : ""} type="button" disabled=${!kind} does=${add}>${sure ? "Add" : "Add without a check"}<//>
      <a class="button" href="#/directories">Leave it</a></div></form>`;
}

export function NewDirectory() {
  const { data, problem, again } = useAsked("/api/directories/kinds");
  return html`<${Head} title="Add a directory" note="Nothing is changed there. A check asks what it can do." />
    <${Wrong} problem=${problem} again=${again} />
    ${data ? html`<${Form} kinds=${data.items} />` : !problem && html`<${Loading} what="kinds" />`}`;
}

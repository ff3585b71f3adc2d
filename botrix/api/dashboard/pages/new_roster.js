// A roster: chosen or dropped, looked at here by its first rows, then sent as it lies on the disk.
import { html, useEffect, useId, useRef, useState } from "../parts/html.js";
import { address, post, useAsked } from "../parts/api.js";
import { useSending } from "../parts/once.js";
import { lookAt, size } from "../parts/roster.js";
import { tell } from "../parts/toast.js";
import { Card, Field, Loading, Wrong } from "../parts/ui.js";
import { number } from "../parts/words.js";
import { upload } from "../parts/upload.js";
import { Columns, Rows } from "./new_preview.js";
import { asAsked, CAREFUL, directoryOf, More, useDirectories, Where } from "./new_run.js";

const SYSTEMS = { moodle: "Moodle", canvas: "Canvas", google: "Google Workspace", entra: "Microsoft Entra" };
const KIND = { "text/csv": "CSV", "application/x-ndjson": "NDJSON" };

// What was chosen: {file, look} once it was looked at, or why it cannot be used.
function useRoster() {
  const [state, setState] = useState({ file: null, look: null, problem: null });
  const turn = useRef(0);
  const choose = async (file) => {
    const mine = ++turn.current;
    setState({ file, look: null, problem: null });
    try {
      const look = await lookAt(file);
      if (mine === turn.current) setState({ file, look, problem: null });
    } catch (error) {
      const said = error.name === "Error" ? error.message : `${file.name} cannot be read. Choose it again.`;
      if (mine === turn.current) setState({ file: null, look: null, problem: { detail: said } });
    }
  };
  return { ...state, choose };
}

// What would become of the first rows, asked again whenever they are to be read otherwise.
function usePreview(look, template, mapping) {
  const [state, setState] = useState({ seen: null, problem: null, busy: false });
  const turn = useRef(0);
  const ask = async () => {
    const mine = ++turn.current;
    if (!look) return setState({ seen: null, problem: null, busy: false });
    setState((old) => ({ ...old, busy: true }));
    const asked = { content: look.sample, content_type: look.kind, template: template || undefined, mapping: mapping || undefined };
    try {
      const seen = await post("/api/templates/preview", asked);
      if (mine === turn.current) setState({ seen, problem: null, busy: false });
    } catch (problem) {
      if (mine === turn.current) setState((old) => ({ ...old, problem, busy: false }));
    }
    return undefined;
  };
  useEffect(() => { ask(); return () => { turn.current++; }; }, [look, template, mapping]);
  return { ...state, again: ask };
}

function Drop({ chosen, choose, busy }) {
  const id = useId();
  const [over, setOver] = useState(false);
  const take = (event) => {
    event.preventDefault();
    setOver(false);
    const [file] = event.dataTransfer.files;
    if (file && !busy) choose(file);
  };
  const hold = (event) => { event.preventDefault(); setOver(true); };
  return html`<div class=${`drop ${over ? "over" : ""}`} onDragOver=${hold} onDragLeave=${() => setOver(false)} onDrop=${take}>
    <input id=${id} class="unseen" type="file" disabled=${busy} accept=".csv,.tsv,.txt,.ndjson,.jsonl,text/csv,application/x-ndjson" aria-describedby=${`${id}-hint`}
      onChange=${(e) => { const [file] = e.target.files; e.target.value = ""; if (file) choose(file); }} />
    <label for=${id} class=${`button ${chosen ? "" : "main"}`}>${chosen ? "Choose another" : "Choose a roster"}</label>
    <p class="hint" id=${`${id}-hint`}>${chosen || "or drop it here: CSV or NDJSON, UTF-8, up to 1 GiB"}</p></div>`;
}

function Reading({ form, change, preview, kind, templates }) {
  const { seen } = preview;
  const own = Object.keys(form.columns).length > 0;
  const recognised = seen && seen.mapping && !form.system && !own ? `Recognised: ${SYSTEMS[seen.mapping]}` : "Recognised by itself";
  return html`<div class="asked">
    <${Field} label="Template" hint="How user names, e-mails and groups are made of the columns">${(ties) => html`
      <select ...${ties} value=${form.template} onChange=${(e) => change({ template: e.target.value })}><option value="">None: as the roster says</option>
        ${templates.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select>`}<//>
    ${kind === "text/csv" && html`<${Field} label="Whose columns they are">${(ties) => html`
      <select ...${ties} value=${own ? "own" : form.system} onChange=${(e) => change({ system: e.target.value, columns: {} })}>
        <option value="">${recognised}</option>${own && html`<option value="own">As chosen below</option>`}
        ${Object.entries(SYSTEMS).map(([name, title]) => html`<option key=${name} value=${name}>${title}</option>`)}</select>`}<//>`}</div>`;
}

// How far the upload is, and what stops it.
function Sending({ far, file, stop }) {
  const id = useId();
  return html`<div class="sending"><label for=${id}>${far < 1 ? `Sending ${file.name}` : "All is sent; its rows are being read"}</label>
    <progress id=${id} max="1" value=${far < 1 ? far : undefined}></progress>
    <div class="actions">${far < 1 && html`<span class="number">${size(file.size * far)} of ${size(file.size)}</span>`}<button type="button" onClick=${stop}>Stop</button></div></div>`;
}

// Sends it; leaving the page stops it, which the browser asks about where it can.
function useUpload() {
  const under = useRef(null);
  const [far, setFar] = useState(null);
  useEffect(() => {
    const warn = (event) => { if (under.current) event.preventDefault(); };
    addEventListener("beforeunload", warn);
    return () => {
      removeEventListener("beforeunload", warn);
      if (under.current) { under.current.stop(); tell("The upload was stopped. Nothing was made."); }
    };
  }, []);
  const run = async (path, file, kind, once) => {
    setFar(0);
    under.current = upload(path, file, { kind, once, far: setFar });
    try {
      return await under.current.done;
    } finally {
      under.current = null;
      setFar(null);
    }
  };
  return { far, run, stop: () => under.current?.stop() };
}

export function RosterForm({ me }) {
  const [form, setForm] = useState({ ...CAREFUL, template: "", system: "", columns: {}, strict: false });
  const change = (more) => setForm((old) => ({ ...old, ...more }));
  const { file, look, problem, choose } = useRoster();
  const mapping = Object.keys(form.columns).length ? JSON.stringify(form.columns) : form.system;
  const preview = usePreview(look, form.template, look?.kind === "text/csv" ? mapping : "");
  const templates = useAsked("/api/templates").data?.items || [];
  const directories = useDirectories();
  const sending = useUpload();
  const { busy, problem: refused, send } = useSending(async (wish, key) => {
    const job = await sending.run(address("/api/accounts/import", wish.asked), file, look.kind, key);
    if (wish.asked.dry_run) location.hash = `#/new/${job.id}`;
    else {
      if (job.bad_rows) tell(`${number(job.bad_rows)} ${job.bad_rows === 1 ? "row was" : "rows were"} left out; the job's page has them.`);
      location.hash = `#/jobs/${job.id}`;
    }
  });
  const submit = (dry) => send({
    file: [file.name, file.size, file.lastModified],
    asked: { directory: directoryOf(form, directories.there), priority: form.priority, template: form.template, mapping: look.kind === "text/csv" ? mapping : "", strict: form.strict || undefined, ...asAsked({ ...form, dry_run: dry }) },
  });
  const take = (one) => { change({ columns: {} }); choose(one); };
  const ready = look && preview.seen && !(preview.problem && preview.problem.status) && directories.known;
  return html`<form class="new" onSubmit=${(e) => e.preventDefault()}>
    <${Card} label="The roster"><${Drop} busy=${busy} choose=${take} chosen=${look && `${file.name}, ${size(file.size)}, ${KIND[look.kind]}`} />
      <${Wrong} problem=${problem} />
      ${look && look.note && html`<p class="heed" role="status">${look.note}</p>`}
      ${look && html`<${Reading} form=${form} change=${change} preview=${preview} kind=${look.kind} templates=${templates} />
        <${Wrong} problem=${preview.problem} again=${preview.again} />
        ${!preview.seen && preview.busy && html`<${Loading} what="what its rows become" />`}
        ${preview.seen && !preview.problem && html`<${Columns} seen=${preview.seen} columns=${form.columns} change=${(columns) => change({ columns, system: "" })} />`}`}<//>
    ${look && preview.seen && !preview.problem && html`<${Card} title="What the first rows become"><${Rows} seen=${preview.seen} whole=${look.whole} /><//>
      <${Card} title="Where, and how"><div class="asked"><${Where} run=${form} change=${change} directories=${directories} />
        <div class="field"><label class="check"><input type="checkbox" checked=${form.strict} aria-describedby="strict-hint" onChange=${(e) => change({ strict: e.target.checked })} />All or nothing</label>
        <p class="hint" id="strict-hint">One row that cannot be used refuses the whole roster. Else such rows are left out and told.</p></div></div>
        <${More} run=${form} change=${change} />
        <${Wrong} problem=${refused} />
        ${sending.far !== null ? html`<${Sending} far=${sending.far} file=${file} stop=${sending.stop} />`
          : html`<div class="actions"><button type="button" class="main" disabled=${busy || !ready} onClick=${() => submit(true)}>Look first</button>
          <button type="button" disabled=${busy || !ready} onClick=${() => submit(false)}>Create at once</button></div>
          <p class="hint">Look first sends the roster and looks every row up in the directory; nothing is created until you say so.
          ${!me.scopes.includes("operate") && " With your key you can look; to create what was looked at takes one that may operate."}</p>`}<//>`}</form>`;
}

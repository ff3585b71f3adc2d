// The small things that every page is made of.
import { html, useEffect, useId, useRef, useState } from "./html.js";
import { seen, speedOf } from "./pace.js";
import { ACCOUNT, ago, DIRECTORY, duration, JOB, number, OUTCOMES } from "./words.js";

const WORDS = { job: JOB, account: ACCOUNT, directory: DIRECTORY };

// <State of="job" is="running" />: shape, word and colour. note: why it does not go on.
export function State({ of, is, note }) {
  const usual = WORDS[of][is] || { tone: "calm", shape: "·", means: "" };
  const word = note ? { ...usual, tone: "warn", shape: "❚❚" } : usual; // it does not go on
  return html`<span class="state ${word.tone}" title=${word.means}>
    <span class="shape" aria-hidden="true">${word.shape}</span>${is}${note ? ` · ${note}` : ""}</span>`;
}

// How far a job is, by outcome. A text says the same to who does not see it.
export function Progress({ job, label, wide }) {
  const looking = job.stage === "plan" || job.stage === "check";
  const parts = looking && job.plan
    ? [["created", job.plan.create], ["existing", job.plan.adopt], ["failed", job.plan.conflict]]
    : OUTCOMES.map((name) => [name, job[name]]);
  const done = parts.reduce((sum, [, n]) => sum + n, 0);
  const share = job.count ? done / job.count : 1;
  const said = parts.filter(([, n]) => n).map(([name, n]) => `${number(n)} ${name}`).join(", ");
  return html`<div class="progress ${wide ? "wide" : ""} ${looking ? "look" : ""}" role="progressbar" aria-label=${label || "Progress"}
      aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.floor(share * 100)}
      aria-valuetext=${`${number(done)} of ${number(job.count)}${said ? `: ${said}` : ""}`} title=${said}>
    ${parts.map(([name, n]) => n > 0 && html`<span key=${name} class="part ${name}" style=${{ flexGrow: n }}></span>`)}
    ${done < job.count && html`<span class="part rest" style=${{ flexGrow: job.count - done }}></span>`}
  </div>`;
}

export function Time({ at }) {
  const [, draw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => draw((n) => n + 1), 10000);
    return () => clearInterval(timer);
  }, []);
  if (!at) return "–";
  return html`<time datetime=${at} title=${new Date(at).toLocaleString()}>${ago(at)}</time>`;
}

export const Count = ({ n }) => html`<span class="number">${number(n)}</span>`;

// What went wrong, in a line, with what to do.
export function Wrong({ problem, again }) {
  if (!problem) return null;
  return html`<div class="wrong" role="alert"><span aria-hidden="true">✕</span>
    <div><p>${problem.detail || String(problem)}</p>
    ${(problem.errors || []).map((e) => html`<p key=${e.field}><code>${e.field}</code> ${e.message}</p>`)}
    ${again && html`<button onClick=${again}>Try again</button>`}</div></div>`;
}

export const Loading = ({ what = "" }) => html`<p class="loading" role="status">Loading ${what}…</p>`;

export function Empty({ children, action }) {
  return html`<div class="empty"><p>${children}</p>${action}</div>`;
}

// A heading with what can be done there.
export function Head({ title, children, note }) {
  return html`<header class="head"><div><h1 tabindex="-1">${title}</h1>${note && html`<p class="note">${note}</p>`}</div>
    <div class="actions">${children}</div></header>`;
}

export function Card({ title, children, more, label }) {
  const id = useId();
  return html`<section class="card" aria-labelledby=${title ? id : undefined} aria-label=${title ? undefined : label}>
    ${title && html`<header><h2 id=${id}>${title}</h2>${more}</header>`}${children}</section>`;
}

// A field with its label, a hint and what is wrong with it: `children` gets what ties them.
export function Field({ label, hint, wrong, children }) {
  const id = useId();
  const about = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ") || undefined;
  return html`<div class="field ${wrong ? "bad" : ""}"><label for=${id}>${label}</label>
    ${children({ id, "aria-describedby": about, "aria-invalid": wrong ? "true" : undefined })}
    ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
    ${wrong && html`<p class="fault" id="${id}-wrong">${wrong}</p>`}</div>`;
}

// A button that is busy while what it does is under way, and tells what went wrong.
export function Action({ does, children, kind = "", disabled, ...more }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const there = useRef(true);
  useEffect(() => () => { there.current = false; }, []);
  const run = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await does();
    } catch (error) {
      if (there.current) setProblem(error);
    } finally {
      if (there.current) setBusy(false);
    }
  };
  return html`<span class="action"><button class=${kind} disabled=${busy || disabled} aria-busy=${busy} onClick=${run} ...${more}>${children}</button>
    ${problem && html`<span class="fault" role="alert">${problem.detail || String(problem)}</span>`}</span>`;
}

// How fast a job goes and how long it still takes, from how its counts grew of late; null: unknown.
export function useEta(job, done) {
  const trace = useRef([]);
  trace.current = seen(trace.current, Date.now() / 1000, done);
  const speed = job.finished_at ? null : speedOf(trace.current);
  if (!speed) return null;
  return { speed, left: (job.count - done) / speed, said: duration((job.count - done) / speed) };
}

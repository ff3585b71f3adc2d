// The dashboard. No build step: what stands here is what runs.
//
//   parts/   what pages are made of: html (Preact), api (asks), live (events), ui, list, dialog, words
//   pages/   one file a page; a page exports one component, and is loaded when it is first opened
//   vendor/  Preact, htm, uPlot, as published
//
// To add a page: a file in pages/, and a line in PAGES. Addresses are `#/name/more`.
import { html, render, useEffect, useRef, useState } from "./parts/html.js";
import { get, Problem, signedOut, post } from "./parts/api.js";
import { live, useConnection } from "./parts/live.js";
import { settle } from "./parts/toast.js";
import { Loading, Wrong } from "./parts/ui.js";
import { SignIn } from "./pages/sign_in.js";

const PAGES = [
  { path: "", title: "Overview", load: () => import("./pages/overview.js") },
  { path: "jobs", title: "Jobs", load: () => import("./pages/jobs.js"), one: () => import("./pages/job.js") },
  { path: "new", title: "New job", load: () => import("./pages/new.js"), scope: "submit" },
  { path: "accounts", title: "Accounts", load: () => import("./pages/accounts.js") },
  { path: "directories", title: "Directories", load: () => import("./pages/directories.js") },
  { path: "audit", title: "Audit", load: () => import("./pages/audit.js"), scope: "admin" },
];

// "#/jobs/abc?status=failed" -> {name: "jobs", id: "abc", query}
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", id] = path.split("/").map(decodeURIComponent);
  return { name, id, query: new URLSearchParams(query) };
}

function usePlace() {
  const [here, setHere] = useState(place());
  useEffect(() => {
    const moved = () => setHere(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return here;
}

// undefined until it is known, null where nobody has signed in.
function useMe() {
  const [me, setMe] = useState(undefined);
  const [problem, setProblem] = useState(null);
  const look = async () => {
    try {
      setMe(await get("/api/me"));
      setProblem(null);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) setMe(null);
      else setProblem(error);
    }
  };
  useEffect(() => {
    look();
    const out = () => setMe(null);
    signedOut.addEventListener("signed-out", out);
    return () => signedOut.removeEventListener("signed-out", out);
  }, []);
  useEffect(() => {
    if (!problem) return undefined;
    const timer = setTimeout(look, 2000);
    return () => clearTimeout(timer);
  }, [problem]);
  return { me, problem, look, leave: async () => { await post("/api/sign-out"); setMe(null); } };
}

function Theme() {
  const [theme, setTheme] = useState(localStorage.getItem("theme") || "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    dispatchEvent(new Event("theme"));
  }, [theme]);
  return html`<label class="theme"><span class="unseen">Colours</span>
    <select value=${theme} onChange=${(e) => setTheme(e.target.value)}>
      <option value="auto">System colours</option><option value="light">Light</option><option value="dark">Dark</option></select></label>`;
}

function Menu({ here, me, leave }) {
  const connection = useConnection();
  const mine = PAGES.filter((page) => !page.scope || me.scopes.includes(page.scope));
  return html`<nav class="menu" aria-label="Pages"><a class="brand" href="#/"><img src="/static/icon.svg" alt="" width="28" height="28" />Botrix</a>
    <ul>${mine.map((page) => html`<li key=${page.path}><a href=${`#/${page.path}`} aria-current=${here.name === page.path ? "page" : undefined}>${page.title}</a></li>`)}</ul>
    <div class="foot"><p class=${`connection ${connection}`} role="status">
        <span class="dot" aria-hidden="true"></span>${connection === "live" ? "Live" : "Connection lost, trying again"}</p>
      <${Theme} /><p class="who" title=${`tenant ${me.tenant}, ${me.role}`}>${me.signed_in === false ? "Nobody needs a key yet" : me.name}</p>
      ${me.signed_in !== false && html`<button class="quiet" onClick=${leave}>Sign out</button>`}</div></nav>`;
}

function Page({ here, me }) {
  const [loaded, setLoaded] = useState(null);
  const [problem, setProblem] = useState(null);
  const main = useRef(null);
  const page = PAGES.find((one) => one.path === here.name);
  const load = page && (here.id && page.one ? page.one : page.load);
  const key = `${here.name}/${here.id || ""}`;
  useEffect(() => {
    let there = true;
    setProblem(null);
    if (load) load().then((module) => { if (there) setLoaded({ key, Content: module.default }); }, (error) => { if (there) setProblem(error); });
    return () => { there = false; };
  }, [key]);
  useEffect(() => {  // who cannot see learns of the new page by its heading
    if (!loaded || loaded.key !== key) return;
    const heading = main.current.querySelector("h1");
    document.title = `${heading ? heading.textContent : "Botrix"} · Botrix`;
    if (heading && Page.moved) heading.focus({ preventScroll: true });
    Page.moved = true;
  }, [loaded, key]);
  const ready = loaded && loaded.key === key;
  return html`<main id="main" ref=${main}>
    ${!page && html`<h1>There is no such page</h1><p><a href="#/">To the overview</a></p>`}
    ${problem && html`<${Wrong} problem=${{ detail: "This page could not be loaded." }} again=${() => location.reload()} />`}
    ${page && !ready && !problem && html`<${Loading} />`}
    ${page && ready && html`<${loaded.Content} key=${key} id=${here.id} query=${here.query} me=${me} />`}</main>`;
}

function App() {
  const { me, problem, look, leave } = useMe();
  const here = usePlace();
  const known = Boolean(me);
  useEffect(() => {
    if (!known) return undefined;
    live.open();
    return () => live.close();
  }, [known]);
  if (me === undefined) return html`<main class="alone">${problem ? html`<${Wrong} problem=${problem} again=${look} />` : html`<${Loading} />`}</main>`;
  if (me === null) return html`<${SignIn} done=${look} />`;
  return html`<a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById("main").querySelector("h1")?.focus(); }}>To the content</a>
    <${Menu} here=${here} me=${me} leave=${leave} /><${Page} here=${here} me=${me} />`;
}

document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";
render(html`<${App} />`, document.getElementById("app"));
settle();

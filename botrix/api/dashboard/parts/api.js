// Asks the API, as whoever has signed in. Every failure is a Problem, whose `detail` is a line for
// people. A 401 is told to whoever listens for `signed-out`, beside.
import { useCallback, useEffect, useRef, useState } from "./html.js";

export class Problem extends Error {
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.errors = errors;
  }
}

const NO_ANSWER = "The API does not answer. Is it running? This page tries again by itself.";
export const signedOut = new EventTarget();

export async function ask(method, path, { body, kind = "application/json", once, raw } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = kind;
  if (once) headers["Idempotency-Key"] = once;
  const sent = body === undefined || kind !== "application/json" ? body : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: sent, cache: "no-store" });
  } catch {
    throw new Problem(0, NO_ANSWER);
  }
  if (!answer.ok) throw await problemOf(answer);
  if (raw) return answer;
  return answer.status === 204 ? null : answer.json();
}

export async function problemOf(answer) {
  if (answer.status === 401) signedOut.dispatchEvent(new Event("signed-out"));
  try {
    const said = await answer.json();
    return new Problem(answer.status, said.detail || said.title, said.errors || []);
  } catch {
    return new Problem(answer.status, `The API answered ${answer.status}.`);
  }
}

export const get = (path) => ask("GET", path);
export const post = (path, body, more = {}) => ask("POST", path, { body, ...more });

// A key that makes a repeated request harmless: one for each intention of the person.
export const intention = () => crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);

// "/path" + {a: 1, b: undefined} -> "/path?a=1"
export function address(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "" && value !== null);
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

// {data, problem, loading, again}: of GET path; null asks nothing. every: seconds between two
// looks while the page is visible. What was there stays shown while it is asked again.
export function useAsked(path, { every = 0 } = {}) {
  const [state, setState] = useState({ data: null, problem: null, loading: true, of: null });
  const turn = useRef(0);
  const again = useCallback(async () => {
    if (path === null) return;
    const mine = ++turn.current;
    try {
      const data = await get(path);
      if (mine === turn.current) setState({ data, problem: null, loading: false, of: path });
    } catch (problem) {
      if (mine === turn.current) setState((old) => ({ ...old, problem, loading: false, of: path }));
    }
  }, [path]);
  useEffect(() => {
    again();
    if (!every) return () => { turn.current++; };
    const timer = setInterval(() => { if (!document.hidden) again(); }, every * 1000);
    const seen = () => { if (!document.hidden) again(); };
    document.addEventListener("visibilitychange", seen);
    return () => {
      turn.current++;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path, every, again]);
  const current = state.of === path;
  return {
    data: current ? state.data : null, problem: current ? state.problem : null,
    loading: path !== null && (!current || state.loading), again,
  };
}

// A list by pages: {items, more, loading, problem, next(), again()}.
export function usePages(path) {
  const empty = { items: [], cursor: undefined, more: true, loading: false, problem: null };
  const [state, setState] = useState(empty);
  const turn = useRef(0);
  const busy = useRef(false);
  const load = useCallback(async (from, cursor) => {
    if (path === null || (busy.current && cursor !== undefined)) return;
    const mine = ++turn.current;
    busy.current = true;
    setState((old) => ({ ...old, loading: true }));
    try {
      const joined = cursor === undefined ? path : address(path, {}) + (path.includes("?") ? "&" : "?") + `cursor=${encodeURIComponent(cursor)}`;
      const page = await get(joined);
      if (mine !== turn.current) return;
      const items = [...from, ...page.items];
      setState({ items, cursor: page.next, more: page.next !== null, loading: false, problem: null });
    } catch (problem) {
      if (mine === turn.current) setState((old) => ({ ...old, loading: false, more: false, problem }));
    } finally {
      if (mine === turn.current) busy.current = false;
    }
  }, [path]);
  useEffect(() => { setState(empty); load([]); return () => { turn.current++; busy.current = false; }; }, [path]);
  return {
    ...state,
    next: () => { if (state.more && !state.loading) load(state.items, state.cursor); },
    again: () => load([]),
    put: (change) => setState((old) => ({ ...old, items: change(old.items) })),
  };
}

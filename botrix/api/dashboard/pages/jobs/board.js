// The jobs that a filter finds, newest first, as they move. Events are gathered and drawn at most
// every 150 ms, so that thousands of rows and many events cost no more than a few.
import { useCallback, useEffect, useMemo, useRef, useState } from "../../parts/html.js";
import { get } from "../../parts/api.js";
import { doneOf, isOpen } from "../../parts/jobs.js";
import { moved, useConnection, useLive } from "../../parts/live.js";
import { calmed, seen } from "../../parts/pace.js";

const PAGE = 200;
const DRAWN = 150;
const NEWEST = 1000; // ms between two looks for jobs that only an event told of
const POLLED = 3000;
const CALMED = 5000;

const newestFirst = (a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : a.id < b.id ? 1 : -1);

class Board {
  rows = [];
  cursor = undefined;
  state = { loading: true, problem: null, more: true };
  #byId = new Map(); // id -> its place in rows
  #events = new Map();
  #strangers = new Set(); // told of by events, and not found by the filter
  #busy = false;
  #timers = {};
  #renewed = 0;

  constructor(path, fits, draw) {
    Object.assign(this, { path, fits, draw });
  }

  close() {
    this.closed = true;
    Object.values(this.#timers).forEach(clearTimeout);
  }

  async next() {
    if (this.#busy || !this.state.more) return;
    this.#busy = true;
    this.#become({ loading: true });
    const limit = this.rows.length ? 1000 : PAGE;
    try {
      const page = await this.#page({ limit, cursor: this.cursor });
      this.cursor = page.next;
      this.#take(page.items);
      this.#become({ loading: false, problem: null, more: page.next !== null });
    } catch (problem) {
      this.#become({ loading: false, more: false, problem });
    } finally {
      this.#busy = false;
    }
  }

  again() {
    Object.assign(this, { rows: [], cursor: undefined });
    this.#byId.clear();
    this.#strangers.clear();
    this.state.more = true;
    return this.next();
  }

  // The newest ones once more: what is new comes above, what is known is as it is now.
  async renew() {
    this.#renewed = Date.now();
    try {
      const known = this.rows.length > 0;
      const page = await this.#page({ limit: PAGE });
      this.#take(page.items);
      if (!known) this.cursor = page.next;
      this.#become({ problem: null, more: known ? this.state.more : page.next !== null });
    } catch (problem) {
      this.#become({ problem });
    }
  }

  hear(event) {
    this.#events.set(event.job_id, event);
    this.#later("draw", DRAWN, () => this.#flush());
  }

  #flush() {
    const rows = this.rows.slice();
    const gone = new Set();
    for (const [id, event] of this.#events) {
      const at = this.#byId.get(id);
      if (at === undefined) this.#stranger(id, event);
      else {
        const job = moved(rows[at], event);
        rows[at] = traced(job, event.at);
        if (!this.fits(job)) gone.add(id);
      }
    }
    this.#events.clear();
    this.rows = rows;
    if (gone.size) this.#set(rows.filter((job) => !gone.has(job.id)));
    this.draw();
  }

  // A job that is not here: new, or it has come to be what the filter asks for.
  #stranger(id, event) {
    if (this.#strangers.has(`${id} ${event.status} ${event.waits}`)) return;
    this.#strangers.add(`${id} ${event.status} ${event.waits}`);
    if (this.fits(event)) this.#later("newest", Math.max(DRAWN, NEWEST - (Date.now() - this.#renewed)), () => this.renew());
  }

  #take(items) {
    const now = Date.now() / 1000;
    const rows = this.rows.slice();
    let unknown = false;
    for (const job of items) {
      const at = this.#byId.get(job.id);
      if (at !== undefined) rows[at] = traced({ ...job, trace: rows[at].trace }, now);
      else unknown = rows.push(traced(job, now));
    }
    this.#set(unknown ? rows.sort(newestFirst) : rows);
  }

  #set(rows) {
    this.rows = rows;
    this.#byId = new Map(rows.map((job, at) => [job.id, at]));
  }

  // Of what does not move any more no pace is shown.
  calm() {
    const now = Date.now() / 1000;
    const rows = this.rows.map((job) => (isOpen(job) ? calmed(job, now) : job));
    if (rows.every((job, at) => job === this.rows[at])) return;
    this.rows = rows;
    this.draw();
  }

  #page({ limit, cursor }) {
    const more = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    return get(`${this.path}${this.path.includes("?") ? "&" : "?"}limit=${limit}${more}`);
  }

  #become(change) {
    this.state = { ...this.state, ...change };
    if (!this.closed) this.draw();
  }

  #later(name, ms, does) {
    if (this.#timers[name] || this.closed) return;
    this.#timers[name] = setTimeout(() => { this.#timers[name] = 0; does(); }, ms);
  }
}

const traced = (job, at) => ({ ...job, trace: seen(job.trace || [], at, doneOf(job)) });

// {rows, loading, problem, more, next(), again()}; fits(job): whether the filter still finds it.
export function useBoard(path, fits) {
  const [, draw] = useState(0);
  const test = useRef(fits);
  test.current = fits;
  const board = useMemo(() => new Board(path, (job) => test.current(job), () => draw((n) => n + 1)), [path]);
  useEffect(() => {
    board.next();
    const timer = setInterval(() => board.calm(), CALMED);
    return () => { clearInterval(timer); board.close(); };
  }, [board]);
  useLive("job", useCallback((event) => board.hear(event), [board]), [board]);
  useLive("gap", () => board.renew(), [board]);
  const connection = useConnection();
  useEffect(() => {
    if (connection === "live") return undefined;
    const timer = setInterval(() => { if (!document.hidden) board.renew(); }, POLLED);
    return () => clearInterval(timer);
  }, [board, connection]);
  return { rows: board.rows, ...board.state, next: () => board.next(), again: () => board.again(), renew: () => board.renew() };
}

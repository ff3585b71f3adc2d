// What happens, as it happens: one stream of events for the whole page.
//
// `live.on("job", see)` hears of each job that moved, "pulse" every two seconds, "gap" where
// something may have been missed and lists must be loaded again, "state" of the connection itself:
// "live", or "trying" while it is lost. The browser comes back by itself where the connection
// breaks (Last-Event-ID); where it gives up, since the API is down, this tries again.
import { useEffect, useState } from "./html.js";

const KINDS = ["job", "pulse", "gap", "ready"];
const AGAIN = 2000;

class Live {
  #source = null;
  #timer = 0;
  #last = "";
  #seen = new Map();
  state = "trying";

  on(kind, see) {
    if (!this.#seen.has(kind)) this.#seen.set(kind, new Set());
    this.#seen.get(kind).add(see);
    return () => this.#seen.get(kind).delete(see);
  }

  open() {
    this.close();
    const after = this.#last ? `&after=${encodeURIComponent(this.#last)}` : "";
    const source = new EventSource(`/api/events?every=0.25${after}`);
    this.#source = source;
    source.onopen = () => this.#become("live");
    source.onerror = () => this.#lost(source);
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        if (event.lastEventId) this.#last = event.lastEventId;
        this.#tell(kind, JSON.parse(event.data));
      });
    }
  }

  close() {
    clearTimeout(this.#timer);
    if (this.#source) this.#source.close();
    this.#source = null;
  }

  #lost(source) {
    if (source !== this.#source) return;
    this.#become("trying");
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.open(), AGAIN);
    }
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#tell("state", state);
  }

  #tell(kind, data) {
    for (const see of this.#seen.get(kind) || []) see(data);
  }
}

export const live = new Live();

// Calls `see` with each event of that kind while the component is there.
export function useLive(kind, see, needs = []) {
  useEffect(() => live.on(kind, see), [kind, ...needs]);
}

// "live" or "trying".
export function useConnection() {
  const [state, setState] = useState(live.state);
  useLive("state", setState);
  return state;
}

// The last pulse, or null.
export function usePulse() {
  const [pulse, setPulse] = useState(null);
  useLive("pulse", setPulse);
  return pulse;
}

// A job as it was loaded, with what events said of it since.
export function moved(job, event) {
  const { job_id: _id, at, ...counts } = event;
  return { ...job, ...counts, updated_at: new Date(at * 1000).toISOString() };
}

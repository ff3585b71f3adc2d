// The words of states, each with what it means and how it is drawn. A shape goes with each colour,
// so that nobody needs to see colours.
export const JOB = {
  pending: { tone: "calm", shape: "○", means: "waits in the line" },
  running: { tone: "busy", shape: "▶", means: "workers are at it" },
  cancelling: { tone: "warn", shape: "◌", means: "what was begun is looked after, then it is cancelled" },
  completed: { tone: "good", shape: "✓", means: "every account is there" },
  failed: { tone: "bad", shape: "✕", means: "some accounts could not be created" },
  cancelled: { tone: "calm", shape: "–", means: "somebody cancelled it" },
};
export const ACCOUNT = {
  planned: { tone: "calm", shape: "○", means: "decided, not yet created" },
  leased: { tone: "busy", shape: "▶", means: "a worker is at it" },
  unsure: { tone: "warn", shape: "?", means: "a call was not answered; it is looked for first" },
  created: { tone: "good", shape: "✓", means: "it is there" },
  existing: { tone: "good", shape: "=", means: "another job had created it" },
  failed: { tone: "bad", shape: "✕", means: "it could not be created" },
  cancelled: { tone: "calm", shape: "–", means: "its job was cancelled first" },
  deleted: { tone: "calm", shape: "⌫", means: "it was removed" },
};
export const DIRECTORY = {
  working: { tone: "good", shape: "✓", means: "it is used" },
  paused: { tone: "warn", shape: "❚❚", means: "its jobs wait" },
  trying: { tone: "busy", shape: "…", means: "one call at a time, to see whether it is well" },
  "given up": { tone: "bad", shape: "✕", means: "was paused so long that its jobs end" },
};
export const WAITS = {
  plan: { says: "Planned. Nothing was created yet.", verb: "apply" },
  canary: { says: "The first accounts are done. Look at them.", verb: "approve" },
  failures: { says: "More accounts failed than may.", verb: "release" },
  paused: { says: "Paused.", verb: "resume" },
};
export const OUTCOMES = ["created", "existing", "failed", "cancelled", "deleted"];

const WHOLE = new Intl.NumberFormat("en");
export const number = (n) => (n === null || n === undefined ? "–" : WHOLE.format(n));
export const rate = (n) => (n === 0 ? "0" : n >= 100 ? WHOLE.format(Math.round(n)) : n.toFixed(n >= 10 ? 0 : 1));

// 95 -> "1 min 35 s"
export function duration(seconds) {
  if (!isFinite(seconds) || seconds < 0) return "–";
  if (seconds < 0.5) return "< 1 s";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// "3 min ago", of a time as the API writes it.
export function ago(time, now = Date.now()) {
  const seconds = (now - new Date(time).getTime()) / 1000;
  if (seconds < 0) return `in ${duration(-seconds)}`;
  if (seconds < 5) return "just now";
  const [whole] = duration(seconds).match(/^\d+ \S+/);
  return `${whole} ago`;
}

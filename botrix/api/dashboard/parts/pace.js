// How fast something goes, from when it was seen how far. A trace is [[seconds, done], …].
const WINDOW = 20;
const LEAST = 1; // what comes in batches looks fast for a moment

// The trace with one more sight. What went backwards (a retry) begins anew.
export function seen(trace, at, done) {
  const last = trace[trace.length - 1];
  if (!last || done < last[1]) return [[at, done]];
  if (done === last[1]) return trace;
  const recent = trace.filter(([time]) => time > at - WINDOW);
  const before = trace[trace.length - recent.length - 1];
  return [...(recent.length ? recent : [before]), [at, done]];
}

// Accounts a second, or null where nothing moved of late.
export function speedOf(trace, now = Date.now() / 1000) {
  const [first, last] = [trace[0], trace[trace.length - 1]];
  if (!first || first === last || now - last[0] > WINDOW) return null;
  return (last[1] - first[1]) / Math.max(last[0] - first[0], LEAST);
}

// The thing with a trace that tells no pace any more, where it stood still for long.
export function calmed(thing, now) {
  const last = thing.trace[thing.trace.length - 1];
  return thing.trace.length > 1 && now - last[0] > WINDOW ? { ...thing, trace: [last] } : thing;
}

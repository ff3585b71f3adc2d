// The last quarter of an hour, in steps of two seconds: what the API sampled, and what it tells on.
import { useEffect, useState } from "./html.js";
import { useAsked } from "./api.js";
import { useLive } from "./live.js";
import { OUTCOMES } from "./words.js";

const KEPT = 450;
const LANES = ["high", "normal", "low"];
const total = (pulse) => OUTCOMES.reduce((sum, name) => sum + (pulse.accounts[name] || 0), 0);

export function usePulses() {
  const before = useAsked("/api/pulse");
  const [pulses, setPulses] = useState([]);
  useEffect(() => {
    if (before.data) setPulses((now) => joined(before.data.items, now));
  }, [before.data]);
  useLive("pulse", (pulse) => setPulses((old) => joined(old, [pulse])));
  return { pulses, problem: before.problem };
}

function joined(old, more) {
  const last = old.length ? old[old.length - 1].at : 0;
  return [...old, ...more.filter((pulse) => pulse.at > last)].slice(-KEPT);
}

// {times, speed, lanes: {high: […], …}} for charts. Accounts that are removed by purge make sums
// shrink; that is no speed.
export function drawn(pulses) {
  const times = [], speed = [], lanes = { high: [], normal: [], low: [] };
  for (let n = 1; n < pulses.length; n++) {
    const [one, two] = [pulses[n - 1], pulses[n]];
    times.push(two.at);
    speed.push(Math.max(0, (total(two) - total(one)) / Math.max(two.at - one.at, 0.1)));
    for (const lane of LANES) lanes[lane].push(two.lanes ? two.lanes[lane] : null);
  }
  return { times, speed, lanes };
}

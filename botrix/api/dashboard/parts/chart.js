// A chart over time (uPlot), in the colours of the page. lines: [{label, color (a custom property),
// dash, values}] over the same times (seconds). A table says the same to who does not see it.
import { html, useEffect, useRef, useState } from "./html.js";
import { number } from "./words.js";

const AGAIN = 2000; // milliseconds

// While the API does not answer it cannot be had. A number is added then, for some browsers remember what failed.
async function library(wanted) {
  for (let n = 0; wanted(); n += 1) {
    try {
      return (await import(`../vendor/uplot.js${n ? `?${n}` : ""}`)).default;
    } catch {
      await new Promise((done) => setTimeout(done, AGAIN));
    }
  }
  return null;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(lines, size, unit) {
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
  return {
    ...size, legend: { show: false }, cursor: { y: false, points: { size: 7 } },
    scales: { x: { time: true, range: (_chart, first, last) => within(first, last) }, y: { range: (_chart, _low, high) => [0, Math.max(high * 1.1, 4)] } },
    axes: [{ ...axis, space: 90, incrs: STEPS, values: (_chart, ticks) => ticks.map(clock) },
      { ...axis, size: 58, values: (_chart, ticks) => ticks.map((n) => (Number.isInteger(n) ? number(n) : "")) }],
    series: [{}, ...lines.map((line) => ({
      label: `${line.label}${unit}`, stroke: color(line.color), width: 2, dash: line.dash, points: { show: false },
      fill: lines.length === 1 ? `${color(line.color)}22` : undefined,
    }))],
  };
}

const STEPS = [5, 10, 15, 30, 60, 120, 180, 300, 600, 900]; // seconds between two marks
const LEAST = 120; // seconds that are shown, also where less is known

function within(first, last) {
  const end = last || Date.now() / 1000;
  return [Math.min(first || end, end - LEAST), end];
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

export function Chart({ label, times, lines, unit = "", height = 190 }) {
  const box = useRef(null);
  const chart = useRef(null);
  const [drawn, setDrawn] = useState(0);
  const data = [times, ...lines.map((line) => line.values)];
  useEffect(() => {
    let there = true;
    const again = () => setDrawn((n) => n + 1);
    library(() => there).then((UPlot) => {
      if (!UPlot || !there) return;
      chart.current = new UPlot(options(lines, { width: box.current.clientWidth, height }, unit), data, box.current);
    });
    const sizes = new ResizeObserver(() => chart.current && chart.current.setSize({ width: box.current.clientWidth, height }));
    sizes.observe(box.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    addEventListener("theme", again);
    return () => {
      there = false;
      sizes.disconnect();
      scheme.removeEventListener("change", again);
      removeEventListener("theme", again);
      if (chart.current) chart.current.destroy();
      chart.current = null;
    };
  }, [drawn]);
  useEffect(() => { if (chart.current) chart.current.setData(data); });
  const last = lines.map((line) => `${line.label} ${number(Math.round(line.values[line.values.length - 1] ?? 0))}${unit}`).join(", ");
  return html`<figure class="chart"><figcaption>${lines.length > 1 && lines.map((line) => html`<span key=${line.label}>
      <span class=${`swatch ${line.dash ? "dashed" : ""}`} style=${{ borderColor: `var(${line.color})` }} aria-hidden="true"></span>${line.label}${" "}
      <strong class="number">${number(line.values[line.values.length - 1] ?? 0)}</strong></span>`)}</figcaption>
    <div ref=${box} role="img" aria-label=${`${label}: now ${last}`} style=${{ height: `${height}px` }}></div></figure>`;
}

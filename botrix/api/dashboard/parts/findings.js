// What a check of a directory found: what it can do, what it does otherwise than is to be
// expected, and what Botrix does about it.
import { html } from "./html.js";

export function Findings({ of, name }) {
  return html`<div class="findings">
    <p class=${`verdict ${of.usable ? "good" : "bad"}`}><span aria-hidden="true">${of.usable ? "✓" : "✕"}</span> ${
      of.usable ? `${name} can be used` : `${name} cannot be used: ${of.problem}`}</p>
    ${of.can.length > 0 && html`<h3>It can do</h3><ul class="points">${of.can.map((line) => html`<li key=${line}>${line}</li>`)}</ul>`}
    ${of.deviations.length > 0 && html`<h3>It does otherwise</h3><ul class="points">${of.deviations.map((one) => html`<li key=${one.what}>${one.what}, so ${one.so}</li>`)}</ul>`}</div>`;
}

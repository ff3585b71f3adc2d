// A long list, of which only what is seen is drawn: rows of one height. columns: [{name, title,
// width (of CSS grid), show(row)}]. `href(row)`: where a row leads. `more()` is called near the end.
// narrow: {height} of rows on a phone, where the style sheet lays out their cells by `data-name`.
//
// A row that is the same object at the same place is not drawn again: `show` and `href` look at the
// row alone, and columns that come to look at something else are a new array.
import { html, useLayoutEffect, useMemo, useRef, useState } from "./html.js";
import { useNarrow } from "./narrow.js";

const BEYOND = 8; // rows drawn above and below what is seen

export function List({ label, columns, rows, idOf, href, more, narrow, height: usual = 44, total, rowLabel }) {
  const ref = useRef(null);
  const small = useNarrow() && Boolean(narrow);
  const height = small ? narrow.height : usual;
  const [view, setView] = useState({ top: 0, size: 600 });
  const look = () => {
    const box = ref.current;
    if (!box) return;
    setView({ top: box.scrollTop, size: box.clientHeight });
    if (more && box.scrollTop + box.clientHeight > box.scrollHeight - 20 * height) more();
  };
  useLayoutEffect(look, [rows.length, height]);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(look);
    watch.observe(ref.current);
    return () => watch.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(view.top / height) - BEYOND);
  const last = Math.min(rows.length, Math.ceil((view.top + view.size) / height) + BEYOND);
  const grid = small ? {} : { gridTemplateColumns: columns.map((c) => c.width || "1fr").join(" ") };
  const kept = useMemo(() => new WeakMap(), [columns, small, height]);
  const shown = rows.slice(first, last);
  const box = { height: `min(66vh, 720px, ${rows.length * height + 1}px)` }; // no emptier than it is
  const kind = `list ${small ? "narrow" : ""} ${rows.length * height > view.size ? "scrolling" : ""}`;
  return html`<div class=${kind} role="table" aria-label=${label} aria-rowcount=${total ?? rows.length + 1}>
    <div role="rowgroup"><div role="row" class="row title" style=${grid} aria-rowindex="1">
      ${columns.map((c) => html`<div key=${c.name} role="columnheader" data-name=${c.name} class=${c.align || ""}>${c.title}</div>`)}</div></div>
    <div class="rows" role="rowgroup" ref=${ref} style=${box} onScroll=${look} tabindex="0" aria-label=${`${label}, scrolls`}>
      <div style=${{ height: `${rows.length * height}px`, position: "relative" }} role="presentation">
      ${shown.map((row, n) => {
        const before = kept.get(row);
        if (before && before.at === first + n) return before.drawn;
        const place = { ...grid, height: `${height}px`, transform: `translateY(${(first + n) * height}px)` };
        const drawn = html`<div role="row" class="row" key=${idOf(row)} style=${place} aria-rowindex=${first + n + 2}>
          ${columns.map((c, at) => html`<div key=${c.name} role="cell" class=${c.align || ""} data-name=${c.name}>
            ${at === 0 && href ? html`<a href=${href(row)} aria-label=${rowLabel && rowLabel(row)}>${c.show(row)}</a>` : c.show(row)}</div>`)}</div>`;
        kept.set(row, { at: first + n, drawn });
        return drawn;
      })}</div></div></div>`;
}

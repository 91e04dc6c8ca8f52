/** What the bars of the Gantt chart mean, and the outline of those on the critical path. */

const { createElement: h } = globalThis.React ?? {};

/** The outline of what is on the critical path. @param {{bars: import("./rows.js").Bar[]}} props */
export function Outline({ bars }) {
  if (!bars.length) return null;
  const left = bars[0].left;
  const right = Math.max(...bars.map((bar) => bar.left + bar.width));
  return h("span", {
    className: "ecsf-critical",
    style: { left: `calc(${left}% - 2px)`, width: `calc(${right - left}% + 4px)` },
  });
}

/** What the bars mean. */
export function Legend() {
  const signs = [
    ["waited", "waited"],
    ["launching", "launching"],
    ["running", "running"],
    ["running failed", "failed"],
    ["relaunched", "relaunched by infrastructure"],
  ];
  return h(
    "div",
    { className: "ecsf-legend" },
    signs.map(([kind, words]) =>
      h("span", { key: kind }, h("i", { className: `ecsf-span ${kind}`, "aria-hidden": true }), words),
    ),
    h(
      "span",
      null,
      h("i", { className: "ecsf-critical", style: { position: "static", width: 18, height: 14 }, "aria-hidden": true }),
      "critical path",
    ),
  );
}

/** A state as a small sign: shape and colour. For runs, and for shards in lists. */

const { createElement: h } = globalThis.React ?? {};

const GREEN = "var(--chakra-colors-success-solid, #008000)";
const RED = "var(--chakra-colors-failed-solid, #dc2626)";
const GREY = "var(--chakra-colors-fg-muted, #71717a)";
const BRIGHT = "var(--chakra-colors-running-solid, #22c55e)";

/**
 * Airflow's states of a run, and the letters of a shard's: shape, colour, words.
 * @type {Map<string, [string, string, string]>}
 */
const SIGNS = new Map(
  Object.entries({
    success: ["solid", GREEN, "success"],
    failed: ["cross", RED, "failed"],
    running: ["play", BRIGHT, "running"],
    queued: ["ring", GREY, "queued"],
    P: ["solid", GREEN, "published"],
    R: ["ring", GREEN, "ran, not published"],
    S: ["half", GREEN, "published, a later run has replaced it"],
    M: ["dashed", "#d97706", "missing"],
    F: ["cross", RED, "failed"],
    r: ["play", BRIGHT, "running"],
    w: ["dots", GREY, "waiting"],
    n: ["bar", GREY, "nothing to do"],
  }),
);

/** @param {string | null | undefined} state @returns {string} */
export function stateWords(state) {
  return (SIGNS.get(state ?? "") ?? ["", "", state || "not known"])[2];
}

/** @param {{state: string | null | undefined}} props */
export function Mark({ state }) {
  const [shape, color] = SIGNS.get(state ?? "") ?? ["ring", GREY, ""];
  const solid = shape === "solid" || shape === "cross" || shape === "play";
  const box = h("rect", {
    key: "box",
    x: 1.5,
    y: 1.5,
    width: 13,
    height: 13,
    rx: 3,
    fill: solid ? color : "none",
    stroke: color,
    strokeWidth: 2,
    strokeDasharray: shape === "dashed" ? "3 2" : undefined,
  });
  return h(
    "svg",
    { className: "ecsf-mark", viewBox: "0 0 16 16", "aria-hidden": true, focusable: false },
    box,
    inside(shape, color),
  );
}

/** @param {string} shape @param {string} color */
function inside(shape, color) {
  if (shape === "cross")
    return h("path", { d: "M5 5L11 11M11 5L5 11", stroke: "#fff", strokeWidth: 2, strokeLinecap: "round" });
  if (shape === "play")
    return h("path", { d: "M6 4.5L11.5 8L6 11.5Z", fill: "#fff", stroke: "#052e16", strokeWidth: 0.6 });
  if (shape === "half") return h("path", { d: "M2 2H14L2 14Z", fill: color });
  if (shape === "bar") return h("path", { d: "M5 8H11", stroke: color, strokeWidth: 2 });
  if (shape === "dots") return [4.7, 8, 11.3].map((x) => h("circle", { key: x, cx: x, cy: 8, r: 1.2, fill: color }));
  return null;
}

/** The states of a shard in a run: a letter in the data, a word, a colour and a shape. */

/** @typedef {{code: string, name: string, label: string, color: string, shape: string}} State */

/** @type {State[]} */
export const STATES = [
  { code: "P", name: "published", label: "published", color: "var(--chakra-colors-success-solid, #008000)", shape: "solid" },
  { code: "R", name: "ran", label: "ran, not published", color: "var(--chakra-colors-success-solid, #008000)", shape: "ring" },
  { code: "S", name: "stale", label: "earlier version", color: "var(--chakra-colors-success-solid, #008000)", shape: "half" },
  { code: "M", name: "missing", label: "missing", color: "var(--chakra-colors-warning-solid, #ca8a04)", shape: "dashed" },
  { code: "F", name: "failed", label: "failed", color: "var(--chakra-colors-failed-solid, #dc2626)", shape: "cross" },
  { code: "r", name: "running", label: "running", color: "var(--chakra-colors-running-solid, #00e000)", shape: "play" },
  { code: "w", name: "waiting", label: "waiting", color: "var(--chakra-colors-fg-muted, #71717a)", shape: "dots" },
  { code: "n", name: "nothing", label: "nothing to do", color: "var(--chakra-colors-fg-muted, #71717a)", shape: "bar" },
  { code: "-", name: "left-out", label: "not part of this run", color: "var(--chakra-colors-fg-muted, #71717a)", shape: "dash" },
  { code: " ", name: "absent", label: "no such shard", color: "transparent", shape: "none" },
];

const BY_CODE = new Map(STATES.map((state) => [state.code, state]));

/** @param {string} code @returns {State} */
export function stateOf(code) {
  return BY_CODE.get(code) ?? STATES[STATES.length - 1];
}

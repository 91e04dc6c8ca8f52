/** A run's failures by reason; one click ticks all shards of a reason. */

import { Mark } from "./mark.js";
import { keysOf, share } from "./picked.js";

const { createElement: h, useState } = globalThis.React ?? {};

/** So many names are listed before one asks for all. */
const NAMED = 12;

/** @typedef {{words: string, outcome: string, cells: import("./picked.js").Cell[]}} Reason */

/** @param {{reasons: Reason[], picked: Set<string>, onPick: (keys: string[]) => void, variants: boolean, active: boolean, ticks: boolean}} props */
export function Reasons({ reasons, picked, onPick, variants, active, ticks }) {
  if (!reasons.length) {
    return h(
      "p",
      { className: "ecsf-note" },
      active ? "No shard has failed so far." : "No shard has failed or is missing.",
    );
  }
  return h(
    "ul",
    { className: "ecsf-card ecsf-list", style: { padding: "2px 14px" } },
    reasons.map((reason) =>
      h(ReasonRow, { key: `${reason.outcome} ${reason.words}`, reason, picked, onPick, variants, ticks }),
    ),
  );
}

/** @param {{reason: Reason, picked: Set<string>, onPick: (keys: string[]) => void, variants: boolean, ticks: boolean}} props */
function ReasonRow({ reason, picked, onPick, variants, ticks }) {
  const [whole, setWhole] = useState(false);
  const keys = keysOf(reason.cells);
  const ticked = share(picked, keys);
  const names = reason.cells.map(([lane, shard]) => (variants ? `${shard} (${lane})` : shard));
  const more = names.length - NAMED;
  return h(
    "li",
    { className: "ecsf-reason" },
    h(
      "p",
      { className: "ecsf-state", style: { alignItems: "flex-start" } },
      h("span", { style: { paddingTop: 3 } }, h(Mark, { state: reason.outcome === "missing" ? "M" : "F" })),
      h("span", null, h("strong", null, `${reason.cells.length.toLocaleString("en")} × `), reason.words),
    ),
    ticks ? h(TickAll, { keys, ticked: ticked === "all", onPick }) : null,
    h(
      "div",
      { className: "ecsf-names" },
      h("bdi", null, (whole ? names : names.slice(0, NAMED)).join(", ")),
      more > 0
        ? h(
            "button",
            {
              type: "button",
              className: "ecsf-link",
              style: { background: "none", border: 0, marginLeft: 6, font: "inherit" },
              onClick: () => setWhole(!whole),
            },
            whole ? "fewer" : `and ${more.toLocaleString("en")} more`,
          )
        : null,
    ),
  );
}

/** @param {{keys: string[], ticked: boolean, onPick: (keys: string[]) => void}} props */
function TickAll({ keys, ticked, onPick }) {
  const words = keys.length === 1 ? "Tick it" : `Tick all ${keys.length.toLocaleString("en")}`;
  return h(
    "button",
    { type: "button", className: "ecsf-button", "aria-pressed": ticked, onClick: () => onPick(keys) },
    ticked ? "✓ Ticked" : words,
  );
}

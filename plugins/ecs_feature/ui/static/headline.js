/** A run in one line of figures, and how far it is. */

import { seconds, usd } from "./format.js";
import { Mark, stateWords } from "./mark.js";

const { createElement: h } = globalThis.React ?? {};

/** @typedef {{state: string, seconds: number | null, usd: number | null, published: number, missing: number, failed?: number, waiting?: number,
 *   done: number, total: number, eta_seconds: number | null}} Figures */

/** Numbers with thousands. @param {number} n */
function many(n) {
  return n.toLocaleString("en");
}

/** The figures: a term, its value, what else is to say. @param {Figures} headline @param {boolean} active @returns {[string, string, string][]} */
export function figuresOf(headline, active) {
  const { usd: dollars, total } = headline;
  const cost = dollars === null || dollars === undefined ? "–" : usd(dollars * 1e6);
  /** @type {[string, string, string][]} */
  const figures = [
    ["Wall time", seconds(headline.seconds), ""],
    ["Cost", cost, active && cost !== "–" ? "so far" : ""],
    ["Published", many(headline.published), `of ${many(total)}`],
    ["Missing", many(headline.missing), ""],
  ];
  if (headline.failed) figures.push(["Failed", many(headline.failed), ""]);
  return figures;
}

/** @param {{headline: Figures, active: boolean}} props */
export function Headline({ headline, active }) {
  const { done, total, eta_seconds: eta } = headline;
  const share = total ? (100 * done) / total : 0;
  const failed = total ? (100 * (headline.failed ?? 0)) / total : 0;
  const left = eta === null || eta === undefined ? "" : eta > 0 ? `about ${seconds(eta)} left` : "any moment now";
  return h(
    "div",
    null,
    h(
      "dl",
      { className: "ecsf-head", style: { margin: 0 } },
      h(
        "div",
        { className: "ecsf-figure" },
        h("dt", null, "State"),
        h("dd", { className: "ecsf-state" }, h(Mark, { state: headline.state }), stateWords(headline.state)),
      ),
      figuresOf(headline, active).map(([term, value, more]) =>
        h(
          "div",
          { key: term, className: "ecsf-figure" },
          h("dt", null, term),
          h("dd", null, value, more ? h("small", null, ` ${more}`) : null),
        ),
      ),
    ),
    active
      ? h(
          "div",
          { style: { marginTop: 10 } },
          h(
            "div",
            {
              className: "ecsf-progress",
              role: "progressbar",
              "aria-label": "Shards done",
              "aria-valuemin": 0,
              "aria-valuemax": total,
              "aria-valuenow": done,
            },
            h("span", {
              style: { width: `${share - failed}%`, background: "var(--chakra-colors-success-solid, #008000)" },
            }),
            h("span", { style: { width: `${failed}%`, background: "var(--chakra-colors-failed-solid, #dc2626)" } }),
          ),
          h(
            "div",
            { className: "ecsf-row ecsf-muted", style: { marginTop: 4, fontSize: 13 } },
            h("span", null, `${many(done)} of ${many(total)} shards done`),
            h("span", { className: "ecsf-grow" }),
            h("span", null, left),
          ),
        )
      : null,
  );
}

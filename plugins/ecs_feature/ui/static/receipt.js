/** The receipt of a run: one card per variant. */

import { count, usd } from "./format.js";

const { createElement: h } = globalThis.React ?? {};

const NAMED = 10;

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${at && value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ${units[at]}`;
}

/** `0 → 2 → 0`; what other runs still hold. @param {any} service */
export function scaled(service) {
  const after = service.after ?? "not released";
  const others = service.others ? `, ${service.others} for other runs` : "";
  return `${service.before} → ${service.peak} → ${after}${others}`;
}

/** @param {number | null | undefined} n */
function whole(n) {
  return Math.round(n ?? 0).toLocaleString("en");
}

/** @param {string[]} names */
function some(names) {
  return names.slice(0, NAMED).join(", ") + (names.length > NAMED ? ` and ${names.length - NAMED} more` : "");
}

/** What the owner of the pipeline may want to do. @param {any} variant @returns {string[]} */
export function hintsOf(variant) {
  const hints = [];
  const missing = variant.missing ?? [];
  if (missing.length) hints.push(`Never published for this partition: ${some(missing)}.`);
  const { memory, ephemeral } = variant;
  if (memory) {
    const advice = memory.suggested_mib ? `; ${memory.suggested_mib.toLocaleString("en")} MiB were enough` : "";
    hints.push(
      `${count(memory.shards.length, "shard")} ran out of ${memory.too_little_mib.toLocaleString("en")} MiB of memory${advice}.`,
    );
  }
  if (ephemeral) {
    const advice = ephemeral.suggested_gib ? `; ${ephemeral.suggested_gib} GiB were enough` : "";
    hints.push(
      `${count(ephemeral.shards.length, "shard")} filled ${ephemeral.too_little_gib} GiB of storage${advice}.`,
    );
  }
  for (const [what, many] of Object.entries(variant.unpriced ?? {}))
    hints.push(`The price of ${what} is not known (${many}); the cost leaves it out.`);
  for (const service of variant.services ?? []) {
    const replaced = Object.entries(service.replaced ?? {});
    if (replaced.length)
      hints.push(
        `Tasks of ${service.name} were replaced: ${replaced.map(([why, many]) => `${many} × ${why}`).join("; ")}.`,
      );
  }
  return hints;
}

/** @param {{receipts: Record<string, any>, active: boolean}} props by task group; "" is the DAG's own */
export function Receipt({ receipts, active }) {
  const cards = Object.entries(receipts ?? {}).flatMap(([group, receipt]) =>
    Object.entries(receipt?.variants ?? {}).map(([name, variant]) =>
      h(Card, { key: `${group} ${name}`, name: [group, name].filter(Boolean).join(" / "), variant }),
    ),
  );
  if (cards.length) return h("div", { className: "ecsf-cards" }, cards);
  return h(
    "p",
    { className: "ecsf-note" },
    active
      ? "The receipt is written when the run ends."
      : "This run has left no receipt: its task “receipt” did not run.",
  );
}

/** @param {{name: string, variant: any}} props */
function Card({ name, variant }) {
  const shards = variant.shards ?? {};
  const part = (/** @type {number} */ many, /** @type {string} */ words) =>
    many ? `, ${many.toLocaleString("en")} ${words}` : "";
  const facts = [
    [
      "Shards",
      `${(shards.succeeded ?? 0).toLocaleString("en")} of ${(shards.total ?? 0).toLocaleString("en")} succeeded${part(shards.failed, "failed")}${part(shards.skipped, "skipped")}`,
    ],
    [
      "Published",
      variant.manifest_uri
        ? `${count(variant.rows ?? 0, "row")} in ${count(variant.files ?? 0, "file")}, ${size(variant.bytes ?? 0)}`
        : "nothing",
    ],
    ...(variant.services ?? []).map((/** @type {any} */ service) => [service.name, scaled(service)]),
    ["Compute", `${whole(variant.vcpu_seconds)} vCPU s, ${whole(variant.gb_seconds)} GB s`],
  ];
  const cost =
    variant.cost_usd === null || variant.cost_usd === undefined
      ? "not known"
      : usd(variant.cost_usd * 1e6) + (variant.unpriced ? " +" : "");
  const hints = hintsOf(variant);
  return h(
    "section",
    { className: "ecsf-card" },
    h(
      "div",
      { className: "ecsf-card-head" },
      h("strong", null, h("bdi", null, name || "all")),
      h("span", { className: "ecsf-big", title: "Estimate from the published prices" }, cost),
    ),
    h(
      "dl",
      null,
      facts.map(([term, words], at) => [
        h("dt", { key: `t${at}` }, h("bdi", null, term)),
        h("dd", { key: `d${at}` }, words),
      ]),
    ),
    hints.map((hint) => h("p", { key: hint, className: "ecsf-hint" }, hint)),
  );
}

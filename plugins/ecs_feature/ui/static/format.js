/** Numbers and times as a reader wants them. Pure. */

/** A duration in two units. @param {number | null | undefined} value seconds @returns {string} */
export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value > 0 && value < 1) return "< 1 s";
  let rest = Math.round(value);
  const parts = [];
  for (const [unit, size] of /** @type {[string, number][]} */ ([["d", 86400], ["h", 3600], ["m", 60], ["s", 1]])) {
    const many = Math.floor(rest / size);
    rest -= many * size;
    if (many) parts.push(`${many} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

/** Millionths of a dollar. @param {number | null | undefined} micro @returns {string} */
export function usd(micro) {
  if (micro === null || micro === undefined || !Number.isFinite(micro)) return "–";
  const dollars = micro / 1e6;
  if (dollars === 0) return "$0";
  if (dollars < 0.0001) return "< $0.0001";
  const digits = dollars < 0.01 ? 4 : dollars < 1 ? 3 : 2;
  // toLocaleString takes a hundred times as long, and a board shows a thousand costs a frame while it is scrolled.
  return `$${dollars < 999 ? dollars.toFixed(digits) : dollars.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

/** A time in the browser's zone. @param {string | null | undefined} iso @returns {string} */
export function moment(iso) {
  const at = new Date(iso ?? NaN);
  if (Number.isNaN(at.getTime())) return "–";
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** `1 shard`, `2,000 shards`. @param {number} n @param {string} noun @returns {string} */
export function count(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/**
 * The time axis of a run, from seconds since its start to per cent of the plot's width. Pure.
 *
 * A run that was cleared days later has done nothing for days: long idle stretches are cut to a narrow gap.
 */

/** @typedef {{from: number, to: number, left: number, width: number, idle: boolean}} Piece */
/** @typedef {{pieces: Piece[], from: number, to: number}} Axis */
/** @typedef {{at: number, left: number, label: string, clock: boolean}} Tick */

/** Share of the width that an idle stretch keeps, in per cent. */
const GAP = 3;
/** An idle stretch is cut when it is longer than this share of the busy time, and than so many seconds. */
const LONG_SHARE = 0.25;
const LONG_SECONDS = 120;
/** So many idle stretches are cut at most: the longest. */
const MOST_GAPS = 6;
/** Distances of ticks in seconds: what a clock face and a calendar have. */
const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
];

/**
 * @param {Iterable<[number, number]>} busy when something went on
 * @param {number} until the axis reaches at least to here
 * @returns {Axis}
 */
export function axisOf(busy, until = 0) {
  const stretches = merged(busy);
  if (!stretches.length) stretches.push([0, Math.max(until, 1)]);
  const last = stretches[stretches.length - 1];
  if (until > last[1]) last[1] = until;
  const total = stretches.reduce((sum, [from, to]) => sum + to - from, 0);
  const gaps = stretches.slice(1).map(([from], at) => from - stretches[at][1]);
  const long = gaps
    .filter((gap) => gap > LONG_SECONDS && gap > total * LONG_SHARE)
    .sort((one, other) => other - one)
    .slice(0, MOST_GAPS);
  const least = long.length ? long[long.length - 1] : Infinity;
  /** @type {[number, number][]} */
  const kept = [stretches[0]];
  for (const stretch of stretches.slice(1)) {
    const before = kept[kept.length - 1];
    if (kept.length <= long.length && stretch[0] - before[1] >= least) kept.push([...stretch]);
    else before[1] = stretch[1];
  }
  const from = kept[0][0];
  const end = kept[kept.length - 1];
  if (end[1] <= from) end[1] = from + 1;
  const shown = kept.reduce((sum, [start, to]) => sum + to - start, 0);
  const share = (100 - GAP * (kept.length - 1)) / shown;
  /** @type {Piece[]} */
  const pieces = [];
  let left = 0;
  kept.forEach(([start, to], at) => {
    if (at) {
      pieces.push({ from: kept[at - 1][1], to: start, left, width: GAP, idle: true });
      left += GAP;
    }
    const width = (to - start) * share;
    pieces.push({ from: start, to, left, width, idle: false });
    left += width;
  });
  return { pieces, from, to: end[1] };
}

/** Overlapping and touching stretches as one, in order. @param {Iterable<[number, number]>} busy */
function merged(busy) {
  const sorted = [...busy]
    .filter(([from, to]) => Number.isFinite(from) && Number.isFinite(to) && to >= from)
    .sort((one, other) => one[0] - other[0]);
  /** @type {[number, number][]} */
  const found = [];
  for (const [from, to] of sorted) {
    const last = found[found.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else found.push([from, to]);
  }
  return found;
}

/** Per cent of the plot's width. @param {Axis} axis @param {number} at @returns {number} */
export function place(axis, at) {
  const { pieces } = axis;
  if (!(at > pieces[0].from)) return 0;
  for (const piece of pieces) {
    if (at <= piece.to) {
      const whole = piece.to - piece.from;
      return piece.left + (whole > 0 ? (piece.width * (at - piece.from)) / whole : 0);
    }
  }
  return 100;
}

/**
 * @param {Axis} axis
 * @param {number} width of the plot in pixels
 * @param {(seconds: number) => string} words
 * @param {number} [room] pixels that a label needs
 * @returns {Tick[]}
 */
export function ticksOf(axis, width, words, room = 72) {
  const busy = axis.pieces.filter((piece) => !piece.idle);
  const seconds = busy.reduce((sum, piece) => sum + piece.to - piece.from, 0);
  const pixels = Math.max(width, room) * (busy.reduce((sum, piece) => sum + piece.width, 0) / 100);
  const step =
    STEPS.find((each) => (each / seconds) * pixels >= room) ??
    STEPS[STEPS.length - 1] * Math.ceil(seconds / 2592000 / 4);
  /** @type {Tick[]} */
  const ticks = [];
  let free = -Infinity;
  for (const piece of busy) {
    for (let at = piece.from; at <= piece.to + 1e-6; at += step) {
      const left = place(axis, at);
      const first = at === piece.from;
      const clock = first && busy.length > 1;
      const start = (left / 100) * width;
      if (start < free) continue;
      if (start + room * (clock ? 1.6 : 0.6) > width && !first) continue;
      free = start + room * (clock ? 1.6 : 0.8);
      ticks.push({ at, left, label: first ? "0" : words(at - piece.from), clock });
    }
  }
  return ticks;
}

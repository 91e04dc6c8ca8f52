/** What a later answer of the board changes in an earlier one. Pure. */

/**
 * What to ask for: what has changed since the last answer. A large board has only the values that were asked for, and
 * needs the same ones of what has changed.
 * @param {any} data @param {Iterable<string>} asked
 */
export function question(data, asked) {
  return { since: data.at, values: data.values === false ? [...asked].join() : null };
}

/** The board with the runs of a partial answer; null: it must be read anew (other shards, lanes or runs). @param {any} data @param {any} part */
export function merged(data, part) {
  if (!part.partial) return part;
  if (part.window !== data.window) return null;
  if (!same(data.shards, part.shards) || !same(data.gone, part.gone)) return null;
  if (!same(data.lanes.map(laneOf), part.lanes.map(laneOf))) return null;
  if (!part.runs.length) return { ...data, at: part.at };
  const at = new Map(data.runs.map((/** @type {any} */ run, /** @type {number} */ index) => [run.run_id, index]));
  if (part.runs.some((/** @type {any} */ run) => !at.has(run.run_id))) return null;
  const runs = [...data.runs];
  /** @type {Record<string, any[]>} */
  const cells = {};
  for (const lane of Object.keys(data.cells)) cells[lane] = [...data.cells[lane]];
  part.runs.forEach((/** @type {any} */ run, /** @type {number} */ index) => {
    const where = /** @type {number} */ (at.get(run.run_id));
    runs[where] = run;
    for (const lane of Object.keys(cells)) {
      const fresh = part.cells[lane]?.[index] ?? null;
      const old = cells[lane][where];
      // An answer from before the values were asked for must not take away those that came meanwhile.
      cells[lane][where] = fresh && old ? { ...values(old), ...fresh } : fresh;
    }
  });
  return { ...data, at: part.at, runs, cells };
}

/** The board with more values of its cells (`values=seconds`); those that it has are newer. @param {any} data @param {any} more */
export function withValues(data, more) {
  if (!same(data.shards, more.shards)) return data;
  const at = new Map(more.runs.map((/** @type {any} */ run, /** @type {number} */ index) => [run.run_id, index]));
  /** @type {Record<string, any[]>} */
  const cells = {};
  for (const lane of Object.keys(data.cells)) {
    cells[lane] = data.cells[lane].map((/** @type {any} */ old, /** @type {number} */ run) => {
      const where = at.get(data.runs[run].run_id);
      const found = where === undefined ? null : more.cells[lane]?.[where];
      return old && found ? { ...values(found), ...old } : old;
    });
  }
  return { ...data, cells };
}

/** @param {any} cells */
function values(cells) {
  return Object.fromEntries(["seconds", "micro_usd", "changed"].filter((name) => cells[name]).map((name) => [name, cells[name]]));
}

/** @param {any} lane */
function laneOf(lane) {
  return `${lane.lane} ${lane.mapped}`;
}

/** @param {any[]} a @param {any[]} b */
function same(a, b) {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

/** How many cells became what, in words for a screen reader; empty: nothing. @param {any} before @param {any} after */
export function changeWords(before, after) {
  let published = 0;
  let failed = 0;
  for (const [lane, columns] of Object.entries(after.cells)) {
    if (columns.length !== before.cells[lane]?.length) continue;
    columns.forEach((/** @type {any} */ cells, /** @type {number} */ run) => {
      const old = before.cells[lane][run];
      if (!cells || !old || cells.states === old.states) return;
      for (let at = 0; at < cells.states.length; at++) {
        if (cells.states[at] === old.states[at]) continue;
        if (cells.states[at] === "P") published += 1;
        if (cells.states[at] === "F") failed += 1;
      }
    });
  }
  return [published ? `${published} published` : "", failed ? `${failed} failed` : ""].filter(Boolean).join(", ");
}

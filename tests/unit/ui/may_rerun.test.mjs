// Whether the user may rerun is asked once, of a cell that has ended; hooks of as much of React as that needs.
import assert from "node:assert/strict";
import { test } from "node:test";

/** What each hook holds, in the order of their calls. */
let held = [];
let at = 0;
let effects = [];
const slot = (make) => (at in held ? held[at++] : ((held[at] = make()), held[at++]));

globalThis.React = {
  createElement: () => null,
  Component: class {},
  useState: (first) => {
    const mine = slot(() => ({ value: first }));
    return [mine.value, (value) => (mine.value = value)];
  },
  useRef: (first) => slot(() => ({ current: first })),
  useEffect: (run, deps) => {
    const mine = slot(() => ({ deps: null }));
    if (!mine.deps || deps.some((each, index) => each !== mine.deps[index])) effects.push(run);
    mine.deps = deps;
  },
};
const asked = [];
let status = 200;
globalThis.fetch = async (url, options) => {
  asked.push([String(url), JSON.parse(options.body)]);
  return { ok: status === 200, status, text: async () => "{}" };
};
const { useMay } = await import("./static/board.js");

async function rendered(dagId, data) {
  at = 0;
  effects = [];
  const may = useMay(dagId, data);
  effects.forEach((run) => run());
  await new Promise((done) => setTimeout(done));
  return may;
}

const board = (states) => ({
  shards: ["CA", "NY"],
  lanes: [{ lane: "control", mapped: false, tasks: ["control.shards.CA", "control.shards.NY"] }],
  runs: [{ run_id: "r" }],
  cells: { control: [{ states }] },
});

test("not before a cell has ended, then once, of that cell and without doing anything", async () => {
  assert.equal(await rendered("d", board("rw")), false);
  assert.equal(await rendered("d", board("w-")), false);
  assert.equal(asked.length, 0);
  await rendered("d", board("rP"));
  assert.equal(asked.length, 1);
  assert.match(asked[0][0], /dags\/d\/clearTaskInstances$/);
  assert.deepEqual([asked[0][1].dry_run, asked[0][1].task_ids], [true, ["control.shards.NY"]]);
  assert.equal(await rendered("d", board("PP")), true);
  await rendered("d", board("FP"));
  assert.equal(asked.length, 1);
});

test("of another DAG it is asked anew, and 403 is no", async () => {
  status = 403;
  await rendered("e", board("PP"));
  assert.equal(asked.length, 2);
  assert.equal(await rendered("e", board("PP")), false);
});

// What the board asks for and when; hooks of as much of React as that needs.
import assert from "node:assert/strict";
import { test } from "node:test";

/** What each hook holds, in the order of their calls. */
let held = [];
let at = 0;
let effects = [];
let ticks = [];
const slot = (make) => (at in held ? held[at++] : ((held[at] = make()), held[at++]));
const same = (one, other) => one && one.every((each, index) => each === other[index]);

globalThis.React = {
  createElement: () => null,
  Component: class {},
  useState: (first) => {
    const mine = slot(() => ({ value: first }));
    return [mine.value, (value) => (mine.value = typeof value === "function" ? value(mine.value) : value)];
  },
  useRef: (first) => slot(() => ({ current: first })),
  useCallback: (fn, deps) => {
    const mine = slot(() => ({ fn, deps }));
    if (!same(mine.deps, deps)) Object.assign(mine, { fn, deps });
    return mine.fn;
  },
  useEffect: (run, deps) => {
    const mine = slot(() => ({ deps: null, clean: null }));
    if (!same(mine.deps, deps)) effects.push([mine, run]);
    mine.deps = deps;
  },
};
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
globalThis.setInterval = (fn) => ticks.push(fn);
globalThis.clearInterval = () => {
  ticks = [];
};
/** Questions that wait for their answers. */
const asked = [];
globalThis.fetch = (url) => new Promise((answer) => asked.push({ url: new URL(url), answer: (value) => answer({ ok: true, status: 200, text: async () => JSON.stringify(value) }) }));
const { useBoard } = await import("./static/use_board.js");

function rendered(runs) {
  at = 0;
  effects = [];
  const board = useBoard("d", runs);
  for (const [mine, run] of effects) {
    mine.clean?.();
    mine.clean = run();
  }
  return board;
}
const settled = () => new Promise((done) => setTimeout(done));
const answered = async (index, value) => {
  asked[index].answer(value);
  await settled();
};
const board = (many, more = {}) => ({
  pipeline: true, at: "t", window: String(many), partial: false, values: false, shards: ["CA"], gone: [], lanes: [{ lane: "", mapped: false }],
  runs: Array.from({ length: many }, (_, run) => ({ run_id: String(run), active: run === 0 })), cells: { "": Array.from({ length: many }, () => ({ states: "P" })) }, ...more,
});
const params = (index) => Object.fromEntries(asked[index].url.searchParams);

test("a look does not take the place of a board that is on its way", async () => {
  rendered(30);
  await answered(0, board(30));
  assert.equal(rendered(30).data.runs.length, 30);
  rendered(90);
  assert.deepEqual([asked.length, params(1).runs], [2, "90"]);
  ticks.forEach((tick) => tick());
  await settled();
  assert.equal(asked.length, 2);
  rendered(90).again(); // what was just cleared: looked for as soon as the board is there
  assert.equal(asked.length, 2);
  await answered(1, board(90));
  assert.deepEqual([asked.length, params(2).since, params(2).runs], [3, "t", "90"]);
  assert.equal(rendered(90).data.runs.length, 90);
  await answered(2, board(90, { partial: true, runs: [] }));
});

test("what has changed is asked for with the values that were asked for", async () => {
  const first = asked.length;
  rendered(90).need("seconds");
  assert.equal(params(first).values, "seconds");
  await answered(first, board(90, { values: true, cells: { "": Array.from({ length: 90 }, () => ({ states: "P", seconds: [1] })) } }));
  ticks.forEach((tick) => tick());
  assert.deepEqual([params(first + 1).since, params(first + 1).values], ["t", "seconds"]);
  await answered(first + 1, board(90, { partial: true, values: true, runs: [{ run_id: "3" }], cells: { "": [{ states: "F", seconds: [7] }] } }));
  const { data } = rendered(90);
  assert.deepEqual([data.cells[""][3].seconds, data.cells[""][4].seconds], [[7], [1]]);
});

test("a board of other runs is read anew, once", async () => {
  const first = asked.length;
  ticks.forEach((tick) => tick());
  await answered(first, board(90, { partial: true, window: "other", runs: [] }));
  assert.deepEqual([asked.length, params(first + 1).since], [first + 2, undefined]);
  ticks.forEach((tick) => tick());
  assert.equal(asked.length, first + 2);
  await answered(first + 1, board(89));
  assert.equal(rendered(90).data.runs.length, 89);
});

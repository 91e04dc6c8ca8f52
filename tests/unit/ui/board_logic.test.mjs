import assert from "node:assert/strict";
import { test } from "node:test";
import { changeWords, merged, question, withValues } from "./static/changes.js";
import { labelOf, classOf } from "./static/cells.js";
import { clearedOf, MOST_MS, stillCleared, withCleared } from "./static/cleared.js";
import { bodyOf, effectOf } from "./static/clearing.js";
import { usd } from "./static/format.js";
import { headsOf, partsOf, runWords } from "./static/heads.js";
import { ask, clearOf, factsOf, totalOf } from "./static/rerun_facts.js";
import { added, between, canRerun, grouped, keyOf, keysIn, taskOf, toggled, wordsOf } from "./static/selection.js";
import { STATES } from "./static/states.js";
import { boundsOf, LEVELS, levelOf, rowsOf, statsOf } from "./static/stats.js";
import { factsOf as detail, linesOf, whyOf } from "./static/strip.js";
import { apart, nameOf } from "./static/twins.js";

const cells = (states, more = {}) => ({ states, seconds: [10, 20, 300], micro_usd: [1, 5, 2], changed: [0, 4, 9], relaunched: [], tries: {}, ...more });
const board = () => ({
  pipeline: true,
  at: "2026-01-03T00:00:00Z",
  values: true,
  shards: ["CA", "NY", "<b>"],
  gone: [],
  lanes: [
    { lane: "control", variant: "control", mapped: false, tasks: ["control.shards.CA", "control.shards.NY", null] },
    { lane: "found", variant: "", mapped: true, tasks: ["found.shard"] },
  ],
  runs: [
    { run_id: "a", partition: "2026-01-31", start: "2026-01-31T00:00:00Z" },
    { run_id: "b", partition: "2026-02-01", start: "2026-02-01T00:00:00Z" },
  ],
  cells: { control: [cells("PFM"), cells("rPn")], found: [cells("PP "), cells("FPP", { map: [2, 0, 1], relaunched: [1], tries: { 0: 2 } })] },
});

test("only what has ended can run again", () => {
  assert.deepEqual(STATES.map((state) => state.code).filter(canRerun).sort().join(""), "FMPRSn");
  assert.equal(canRerun(""), false);
  const data = board();
  assert.deepEqual(keysIn(data, ["control"], [0, 1], [0, 1, 2]).length, 5); // the running one is left out
  assert.deepEqual(keysIn(data, ["control", "found"], [0, 1], [0, 1, 2], "F"), [keyOf("a", "control", "NY"), keyOf("b", "found", "CA")]);
});

test("ticks go on, and all off when all were on", () => {
  const one = toggled(new Set(), ["x"]);
  assert.deepEqual([...toggled(one, ["x", "y"])], ["x", "y"]);
  assert.equal(toggled(one, ["x"]).size, 0);
  assert.equal(toggled(one, []).size, 1);
  assert.deepEqual([...added(one, ["y"])], ["x", "y"]);
  assert.deepEqual(between(4, 2), [2, 3, 4]);
});

test("what is ticked is grouped by run, with task ids and map indexes", () => {
  const data = board();
  const set = new Set([keyOf("b", "found", "CA"), keyOf("a", "control", "NY"), keyOf("b", "control", "CA"), keyOf("gone", "control", "CA"), keyOf("a", "control", "<b>")]);
  const groups = grouped(set, data);
  assert.deepEqual(groups.map((group) => group.run.run_id), ["a", "b"]);
  assert.deepEqual(groups[0].cells, [["control", "NY", "control.shards.NY", -1]]); // <b> has no task in this lane
  assert.deepEqual(groups[1].cells, [["found", "CA", "found.shard", 2]]); // control's CA is running
  assert.equal(wordsOf(groups), "Rerun 2 shards in 2 runs");
  assert.equal(wordsOf(groups.slice(0, 1)), "Rerun 1 shard");
  assert.equal(wordsOf([{ cells: Array(3) }]), "Rerun 3 shards");
  assert.deepEqual(taskOf(data, data.lanes[1], 0, 1), ["found.shard", 1]); // no map: the shard's own index
});

test("counts, sorting and finding", () => {
  const data = board();
  const stats = statsOf(data, ["control"]);
  assert.deepEqual([stats.counts.P, stats.counts.F, stats.counts.M, stats.counts.r, stats.counts.n], [2, 1, 1, 1, 1]);
  const rows = (wanted) => rowsOf(data, stats, { find: "", sort: "name", states: "", ...wanted });
  assert.deepEqual(rows({}), [0, 1, 2]);
  assert.deepEqual(rows({ sort: "failures" }), [1, 0, 2]);
  assert.deepEqual(rows({ sort: "duration" }), [2, 1, 0]);
  assert.deepEqual(rows({ sort: "cost" }), [1, 2, 0]);
  assert.deepEqual(rows({ sort: "last change" }), [2, 1, 0]);
  assert.deepEqual(rows({ find: " ny" }), [1]);
  assert.deepEqual(rows({ states: "FM" }), [1, 2]);
});

test("heat has steps from the values, and none without a value", () => {
  const data = board();
  const bounds = boundsOf(data, ["control"], "seconds");
  assert.equal(bounds.length, LEVELS - 1);
  assert.equal(levelOf(null, bounds), 0);
  assert.equal(levelOf(10, bounds), 1);
  assert.equal(levelOf(300, bounds), LEVELS);
  assert.deepEqual(boundsOf({ cells: { x: [null] } }, ["x"], "seconds"), []);
  const painting = { data, lanes: ["control"], heat: "duration", bounds, states: "", relaunched: new Map() };
  assert.match(classOf(painting, "control", 0, 1), /ecsf-heat-failed/); // failures stay visible
  assert.match(classOf({ ...painting, states: "P" }, "control", 0, 1), /ecsf-dim/);
  const both = { ...painting, lanes: ["control", "found"] };
  assert.equal(labelOf(both, 1, 0), "CA, 2026-02-01: control running, 10 s, < $0.0001; found failed, 10 s, < $0.0001, try 2");
});

test("a partial answer replaces its runs; another shape is read anew", () => {
  const data = board();
  const part = { ...board(), partial: true, at: "later", runs: [{ ...board().runs[1], state: "success" }], cells: { control: [cells("PPn")], found: [null] } };
  const next = merged(data, part);
  assert.equal(next.at, "later");
  assert.equal(next.cells.control[1].states, "PPn");
  assert.equal(next.cells.control[0], data.cells.control[0]);
  assert.equal(next.cells.found[1], null);
  assert.equal(changeWords(data, next), "1 published");
  assert.equal(merged(data, { ...part, shards: ["CA"] }), null);
  assert.equal(merged(data, { ...part, runs: [{ run_id: "new" }] }), null);
  assert.equal(merged(data, { ...part, window: "other" }), null); // a run went, and another one is the oldest now
  const bare = board();
  delete bare.cells.control[0].seconds;
  assert.deepEqual(withValues(bare, board()).cells.control[0].seconds, [10, 20, 300]);
});

test("a large board's values follow what changes", () => {
  const data = { ...board(), values: false };
  assert.deepEqual(question(data, new Set(["seconds", "changed"])), { since: data.at, values: "seconds,changed" });
  assert.deepEqual(question(data, new Set()), { since: data.at, values: "" });
  assert.deepEqual(question(board(), new Set(["seconds"])), { since: data.at, values: null });
  const part = { ...board(), partial: true, values: true, runs: [board().runs[1]], cells: { control: [{ states: "PPn", seconds: [11, 22, null] }], found: [null] } };
  const next = merged(data, part);
  assert.deepEqual(next.cells.control[1].seconds, [11, 22, null]);
  assert.deepEqual(next.cells.control[1].micro_usd, [1, 5, 2]); // came while an answer without it was on its way
  assert.deepEqual(withValues(next, board()).cells.control[1].seconds, [11, 22, null]); // asked for before the change
});

test("dollars have as many digits as they need", () => {
  assert.deepEqual([null, 0, 50, 1234, 12345, 1234567, 998999999, 1234567890].map(usd), ["–", "$0", "< $0.0001", "$0.0012", "$0.012", "$1.23", "$999.00", "$1,234.57"]);
});

test("what is cleared, and what a dry run says of it", () => {
  const mine = [["control", "CA", "control.shards.CA", -1], ["found", "NY", "found.shard", 7]];
  assert.deepEqual(bodyOf("r", mine, true), { dry_run: true, dag_run_id: "r", task_ids: ["control.shards.CA", ["found.shard", 7]], include_downstream: true, only_failed: false });
  assert.equal(bodyOf("r", mine, false).prevent_running_task, true);
  const instances = [
    { task_id: "control.shards.CA", map_index: -1, state: "failed" },
    { task_id: "found.shard", map_index: 7, state: "success" },
    { task_id: "control.publish", map_index: -1, state: "success" },
  ];
  assert.deepEqual(effectOf(instances, mine), { others: ["control.publish"], busy: [], extra: [], lost: [] });
  assert.equal(ask(instances, mine).stop, "");
  assert.match(ask([...instances, { task_id: "receipt", map_index: -1, state: "running" }], mine).stop, /receipt is still going on/);
  assert.match(ask([...instances, { task_id: "found.shard", map_index: 8, state: "success" }], mine).stop, /1 shard that you have not ticked/);
  assert.match(ask(instances.slice(1), mine).stop, /no longer has CA/);
  assert.equal(clearOf(mine), "control: CA; found: NY");
  const estimate = { p50_seconds: 60, p90_seconds: 90, usd: 0.5, quota: "vCPU quota", services: [{ name: "s", from: 0, to: 2 }] };
  assert.deepEqual(Object.fromEntries(factsOf(mine, effectOf(instances, mine), estimate)).services, "s 0 → 2 → 0");
  assert.equal(totalOf([estimate, estimate]), "About $1.00, up to 1 m 30 s");
  assert.equal(totalOf([]), "");
});

test("what was cleared waits until the server knows of it, or a while has passed", () => {
  const data = board();
  const ticked = new Set([keyOf("a", "control", "NY"), keyOf("a", "control", "<b>"), keyOf("b", "found", "CA")]);
  const cleared = clearedOf(data, ticked, ["a"], 1000); // the other run could not be cleared
  assert.deepEqual([...cleared.values()], [{ code: "F", at: 1000 }, { code: "M", at: 1000 }]);
  const shown = withCleared(data, cleared);
  assert.equal(shown.cells.control[0].states, "Pww");
  assert.equal(data.cells.control[0].states, "PFM");
  assert.equal(shown.cells.found[1], data.cells.found[1]);
  assert.equal(stillCleared(cleared, data, 2000), cleared);
  const next = board();
  next.cells.control[0].states = "PwM"; // the server has begun to say so
  const left = stillCleared(cleared, next, 2000);
  assert.deepEqual([...left.keys()], [keyOf("a", "control", "<b>")]);
  assert.equal(withCleared(next, left).cells.control[0].states, "Pww");
  assert.equal(stillCleared(cleared, data, 1000 + MOST_MS).size, 0);
  assert.equal(withCleared(data, new Map()), data);
});

test("heads say what changes", () => {
  assert.deepEqual(partsOf("2013-02-08"), ["Feb 2013", "8"]);
  assert.deepEqual(partsOf("2013-02-08T05"), ["8 Feb", "05"]);
  assert.deepEqual(partsOf("2013-02"), ["2013", "Feb"]);
  assert.deepEqual(partsOf("2013-W06"), ["2013", "06"]);
  assert.deepEqual(headsOf(["2013-01-30", "2013-01-31", "2013-02-01", "2013-02-02"].map((partition) => ({ partition }))).map((words) => words.slice(0, 2)), [["Jan", "30"], ["", "31"], ["Feb", "1"], ["", "2"]]);
});

test("two runs of one partition have heads, labels and names of their own", () => {
  const time = (day, hour, minute = 0) => new Date(2026, 0, day, hour, minute).toISOString(); // in the browser's zone
  const run = (partition, run_type, run_after) => ({ run_id: `${run_type}${run_after}`, partition, run_type, run_after, ok: 1 });
  const shorts = (...runs) => apart(runs).map((each) => each.short);
  const day = "2026-01-31";
  const types = [run("2026-01-30", "scheduled", time(31, 0)), run(day, "scheduled", time(1, 0)), run(day, "manual", time(1, 6))];
  assert.deepEqual(shorts(...types), ["", "sch", "man"]);
  assert.deepEqual(shorts(run(day, "manual", time(1, 6)), run(day, "manual", time(1, 18)), run(day, "scheduled", time(1, 0))), ["06h", "18h", "00h"]);
  assert.deepEqual(shorts(run(day, "manual", time(1, 6, 5)), run(day, "manual", time(1, 6, 20))), [":05", ":20"]);
  assert.deepEqual(shorts(run(day, "manual", time(1, 6)), run(day, "manual", time(2, 6))), ["1.", "2."]);
  assert.deepEqual(shorts(run(day, "manual", time(1, 6)), run(day, "manual", time(1, 6)), run("", "odd", null), run("", "odd", null)), ["#1", "#2", "#1", "#2"]);
  assert.equal(nameOf(types, 0), "2026-01-30");
  assert.equal(nameOf(types, 2), "2026-01-31 (manual, 2026-01-01 06:00)");
  assert.equal(nameOf([run(day, "manual", time(31, 6)), types[1]], 0), "2026-01-31 (manual, 06:00)");
  const data = { ...board(), runs: types.slice(1) };
  const painting = { data, lanes: ["control"], relaunched: new Map() };
  assert.match(labelOf(painting, 1, 0), /^CA, 2026-01-31 \(manual, 2026-01-01 06:00\): running/);
  assert.deepEqual(headsOf(data.runs).map((words) => words[2].short), ["sch", "man"]);
  assert.match(runWords(types[2], apart(types)[2].words), /^Open the run of 2026-01-31 \(manual, .*\), not started, 1 shard ok/);
  const groups = grouped(new Set([keyOf(data.runs[0].run_id, "control", "CA")]), data);
  assert.deepEqual(groups.map((group) => group.name), ["2026-01-31 (scheduled, 2026-01-01 00:00)"]);
});

test("the strip's words", () => {
  assert.deepEqual(detail(null), []);
  const found = { state: "F", exit_code: 137, usd: 0.001, try: 2, launches: [{ outcome: "spot interrupted" }, { cpu: 1024, memory_mib: 2048, started_at: "2026-01-01T00:00:00Z", stopped_at: "2026-01-01T00:01:00Z" }] };
  assert.deepEqual(detail(found), ["exit code 137", "1 m", "$0.0010", "1 vCPU, 2 GB", "2 launches, spot interrupted before", "try 2"]);
  assert.equal(whyOf({ waits_for: { what: "launch rate", words: "its turn in the launch rate" } }), "waits for its turn in the launch rate");
  assert.equal(whyOf({ waits_for: { what: "trigger", words: "for the tasks before it" } }), "waits for the tasks before it");
  assert.equal(whyOf({ waits_for: null, reason: "OutOfMemory" }), "OutOfMemory");
  assert.deepEqual(linesOf({ content: [{ event: "::group::x" }, { event: "one" }, "two"] }), ["one", "two"]);
});

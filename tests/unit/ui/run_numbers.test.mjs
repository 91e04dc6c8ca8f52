// What a run's tab and the pipelines' page compute: axis, rows, ticks, groups, words.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { axisOf, place, ticksOf } from "./static/axis.js";
import { figuresOf } from "./static/headline.js";
import { pathOf, safeUrl } from "./static/link.js";
import { ago, ahead, daysOf, holderWords } from "./static/days.js";
import { scaleOf } from "./static/parallelism.js";
import { added, canTick, keysOf, share, tickedOf, toggled } from "./static/picked.js";
import { hintsOf, scaled, size } from "./static/receipt.js";
import { barsOf, busyOf, chosen, criticalOf, keyOf, rowsOf, serviceKey, stepPaths } from "./static/rows.js";
import { consoleUrl } from "./static/versions.js";

const DAY = 86400;
const words = (n) => `${n}s`;

/** Numbers that look random and are the same each time. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

describe("the axis", () => {
  test("is linear where work went on all the time", () => {
    const axis = axisOf([
      [0, 60],
      [50, 100],
    ]);
    assert.deepEqual(
      [0, 25, 50, 100].map((at) => place(axis, at)),
      [0, 25, 50, 100],
    );
  });
  test("reaches to now while the run goes on, and holds something when nothing has run", () => {
    assert.equal(place(axisOf([[0, 50]], 100), 50), 50);
    assert.equal(place(axisOf([], 40), 20), 50);
    assert.equal(axisOf([]).to, 1);
    assert.equal(axisOf([[5, 5]]).to, 6);
  });
  test("cuts the days before a rerun to a narrow gap", () => {
    const axis = axisOf([
      [0, 100],
      [DAY, DAY + 100],
    ]);
    assert.deepEqual(
      axis.pieces.map((piece) => piece.idle),
      [false, true, false],
    );
    assert.deepEqual([place(axis, 100), place(axis, DAY), place(axis, DAY + 100)], [48.5, 51.5, 100]);
  });
  test("keeps pauses that are short, or short beside the work", () => {
    assert.equal(
      axisOf([
        [0, 10],
        [100, 110],
      ]).pieces.length,
      1,
    );
    assert.equal(
      axisOf([
        [0, DAY],
        [DAY + 3600, 2 * DAY],
      ]).pieces.length,
      1,
    );
  });
  test("also takes what ran before the run's new start", () => {
    const axis = axisOf([
      [-DAY, -DAY + 60],
      [0, 60],
    ]);
    assert.equal(place(axis, -DAY), 0);
    assert.equal(place(axis, -DAY + 60), 48.5);
  });
  test("cuts the longest pauses first, of many", () => {
    const busy = Array.from({ length: 12 }, (_, at) => [at * DAY * (at + 1), at * DAY * (at + 1) + 60]);
    const axis = axisOf(busy);
    assert.equal(axis.pieces.filter((piece) => piece.idle).length, 6);
    assert.ok(Math.abs(axis.pieces.reduce((sum, piece) => sum + piece.width, 0) - 100) < 1e-9);
  });
  test("never goes back or out of the plot, whatever it is given", () => {
    const next = random(7);
    for (let round = 0; round < 200; round += 1) {
      const busy = Array.from({ length: Math.floor(next() * 9) }, () => {
        const from = (next() - 0.3) * 10 ** (next() * 7);
        return [from, from + (next() - 0.1) * 10 ** (next() * 5)];
      });
      busy.push([NaN, 5], [3, Infinity]);
      const axis = axisOf(busy, next() * 1000);
      let before = 0;
      for (let at = axis.from - 10; at <= axis.to + 10; at += (axis.to - axis.from + 20) / 50) {
        const here = place(axis, at);
        assert.ok(here >= before && here <= 100 + 1e-9, `${here} after ${before}`);
        before = here;
      }
    }
  });
});

describe("ticks", () => {
  for (const seconds of [1, 7, 45, 240, 3000, 20000, DAY, 40 * DAY, 4000 * DAY]) {
    test(`have room at ${seconds} s`, () => {
      for (const width of [300, 700, 1600]) {
        const ticks = ticksOf(axisOf([[0, seconds]]), width, words);
        assert.ok(ticks.length >= 1 && ticks.length <= width / 40, `${ticks.length} in ${width}`);
        const places = ticks.map((tick) => (tick.left / 100) * width);
        places.slice(1).forEach((at, index) => assert.ok(at - places[index] >= 50));
      }
    });
  }
  test("are at times of a clock face", () => {
    assert.deepEqual(
      ticksOf(axisOf([[0, 240]]), 400, words).map((tick) => tick.label),
      ["0", "60s", "120s", "180s"],
    );
  });
  test("say the time of day where a piece begins after a gap", () => {
    const ticks = ticksOf(
      axisOf([
        [0, 100],
        [DAY, DAY + 100],
      ]),
      800,
      words,
    );
    assert.deepEqual(
      ticks.filter((tick) => tick.clock).map((tick) => tick.at),
      [0, DAY],
    );
  });
});

function shard(name, state = "P", segments = [], more = {}) {
  return { name, task_id: `control.shards.${name}`, map_index: -1, state, segments, ...more };
}

const LANES = [
  {
    lane: "control",
    variant: "control",
    shards: [
      shard("s-10", "P", [
        ["waited", 0, 5],
        ["running", 5, 30],
      ]),
      shard("s-2", "F", [
        ["launching", 2, 4],
        ["running", 4, 90],
      ]),
      shard("left-out", "-"),
      shard("gone", " "),
      shard("s-1", "w"),
    ],
  },
  {
    lane: "treatment",
    variant: "treatment",
    shards: [{ ...shard("s-2", "P", [["running", 1, 95]]), task_id: "treatment.shards.s-2" }],
  },
];

describe("rows", () => {
  const rows = rowsOf(LANES);
  test("are the shards that are part of the run", () => {
    assert.deepEqual(
      rows.map((row) => row.name),
      ["s-10", "s-2", "s-1", "s-2"],
    );
    assert.deepEqual(
      rows.map((row) => row.seconds),
      [25, 88, 0, 94],
    );
  });
  for (const [order, names] of [
    ["name", ["s-1", "s-2", "s-2", "s-10"]],
    ["start", ["s-10", "s-2", "s-2", "s-1"]],
    ["end", ["s-10", "s-2", "s-2", "s-1"]],
    ["duration", ["s-2", "s-2", "s-10", "s-1"]],
    ["failures", ["s-2", "s-1", "s-2", "s-10"]],
    ["no such order", ["s-10", "s-2", "s-2", "s-1"]],
  ]) {
    test(`by ${order}`, () => {
      assert.deepEqual(
        chosen(rows, { lane: "", find: "", order }).map((row) => row.name),
        names,
      );
    });
  }
  test("are found by a part of the name, and of one variant", () => {
    assert.deepEqual(
      chosen(rows, { lane: "", find: " S-1", order: "name" }).map((row) => row.name),
      ["s-1", "s-10"],
    );
    assert.deepEqual(
      chosen(rows, { lane: "treatment", find: "", order: "name" }).map((row) => row.lane),
      ["treatment"],
    );
  });
  test("have bars where the axis puts them", () => {
    const bars = barsOf(axisOf([[0, 100]]), [
      ["waited", 0, 25],
      ["running", 25, 20],
      ["running", 50, 100],
    ]);
    assert.deepEqual(
      bars.map(({ left, width }) => [left, width]),
      [
        [0, 25],
        [25, 0],
        [50, 50],
      ],
    );
  });
  test("a service that stands by for days does not stretch the axis", () => {
    const services = [
      {
        name: "e",
        lane: "control",
        segments: [
          ["scaling up", 0, 9, 2],
          ["steady", 9, DAY, 2],
        ],
      },
    ];
    assert.deepEqual(busyOf([], services), [[0, 9]]);
  });
  test("the critical path is of the variant whose service is named, when the others' shard goes on as long", () => {
    const services = [{ name: "encoder-control", lane: "control", segments: [] }];
    assert.equal(criticalOf(["encoder-control", "s-2"], rows, services).shard.lane, "control");
  });
  test("the critical path is of the variant whose shard ended last", () => {
    const services = ["control", "treatment"].map((lane) => ({ name: "encoder", lane, segments: [] }));
    const found = criticalOf(["encoder", "s-2"], rows, services);
    assert.equal(found.shard.lane, "treatment");
    assert.deepEqual([...found.keys].sort(), ["-1:treatment.shards.s-2", serviceKey(services[1])]);
    assert.deepEqual(
      [criticalOf([], rows, services).shard, criticalOf(["encoder", "s-1"], rows, services).shard],
      [null, null],
    );
  });
});

describe("the curve", () => {
  const axis = axisOf([[0, 100]]);
  test("goes up and down in steps, and its area is closed on the floor", () => {
    const { line, area } = stepPaths(
      axis,
      [
        [10, 2],
        [50, 4],
        [90, 0],
      ],
      4,
    );
    assert.equal(line, "M100 100H100V50H500V0H900V100");
    assert.equal(area, `${line}V100Z`);
  });
  test("goes on to the end of the axis while something runs", () => {
    assert.equal(stepPaths(axis, [[50, 1]], 1).line, "M500 100H500V0H1000");
    assert.deepEqual(stepPaths(axis, [], 1), { line: "", area: "" });
  });
  test("shows the quota where it does not press the curve to the floor", () => {
    assert.deepEqual(
      [scaleOf([[0, 8]], 10).seen, scaleOf([[0, 8]], 400).seen, scaleOf([[0, 8]], null).seen],
      [true, false, false],
    );
    assert.equal(scaleOf([], null).top > 0, true);
  });
});

describe("ticking", () => {
  const cells = [
    ["control", "a", "t.a", -1],
    ["control", "b", "t.m", 3],
  ];
  test("a reason ticks all its shards, and again none", () => {
    const keys = keysOf(cells);
    assert.deepEqual(keys, [keyOf("t.a", -1), keyOf("t.m", 3)]);
    const some = toggled(new Set(["x"]), keys.slice(0, 1));
    assert.equal(share(some, keys), "some");
    const all = toggled(some, keys);
    assert.deepEqual([share(all, keys), all.size], ["all", 3]);
    assert.deepEqual([...toggled(all, keys)], ["x"]);
  });
  test("more is ticked without a change of the set in place", () => {
    const before = new Set(["a"]);
    assert.deepEqual([...added(before, ["a", "b"])], ["a", "b"]);
    assert.equal(before.size, 1);
  });
  test("only what has ended can run again", () => {
    assert.equal([..."PRSMFnrw- "].filter((state) => canTick({ state })).join(""), "PRSMFn");
  });
  test("keys cannot be mixed up, and what the run has lost is not rerun", () => {
    assert.notEqual(keyOf("a:1", 2), keyOf("a", 12));
    const rows = rowsOf(LANES);
    assert.deepEqual(
      tickedOf(new Set([rows[1].key, rows[2].key, "-1:gone"]), rows).map((row) => row.name),
      ["s-2"],
    );
  });
});

describe("words", () => {
  test("sizes", () => {
    assert.deepEqual([0, 999, 1000, 267733, 26773312345, 5e15].map(size), [
      "0 B",
      "999 B",
      "1.0 kB",
      "268 kB",
      "26.8 GB",
      "5,000 TB",
    ]);
  });
  test("services", () => {
    assert.equal(scaled({ before: 0, peak: 2, after: 0, others: 0 }), "0 → 2 → 0");
    assert.equal(scaled({ before: 0, peak: 2, after: null, others: null }), "0 → 2 → not released");
    assert.equal(scaled({ before: 2, peak: 4, after: 0, others: 2 }), "2 → 4 → 0, 2 for other runs");
  });
  test("hints of a receipt", () => {
    assert.deepEqual(hintsOf({}), []);
    const hints = hintsOf({
      missing: ["FL"],
      memory: { shards: ["CA"], too_little_mib: 1024, suggested_mib: 2048 },
      ephemeral: { shards: ["CA", "NY"], too_little_gib: 20, suggested_gib: null },
      unpriced: { "X in eu-south-1": 3 },
      services: [{ name: "encoder", replaced: { unhealthy: 2 } }],
    });
    assert.deepEqual(hints, [
      "Never published for this partition: FL.",
      "1 shard ran out of 1,024 MiB of memory; 2,048 MiB were enough.",
      "2 shards filled 20 GiB of storage.",
      "The price of X in eu-south-1 is not known (3); the cost leaves it out.",
      "Tasks of encoder were replaced: 2 × unhealthy.",
    ]);
  });
  test("figures", () => {
    const figures = {
      state: "running",
      seconds: 61,
      usd: 1.5,
      published: 3,
      missing: 0,
      failed: 2,
      done: 5,
      total: 9,
      eta_seconds: 4,
    };
    assert.deepEqual(
      figuresOf(figures, true).map(([term]) => term),
      ["Wall time", "Cost", "Published", "Missing", "Failed"],
    );
    assert.deepEqual(figuresOf({ ...figures, failed: 0, usd: null }, true)[1], ["Cost", "–", ""]);
  });
  test("times", () => {
    const now = Date.parse("2026-11-28T06:00:00Z");
    assert.equal(ago("2026-11-28T05:59:30Z", now), "just now");
    assert.equal(ago("2026-11-28T03:00:00Z", now), "3 h ago");
    assert.deepEqual([ago(null, now), ago("nonsense", now), ahead(undefined, now)], ["", "", ""]);
    assert.deepEqual([ahead("2026-11-28T05:00:00Z", now), ahead("2026-11-28T06:05:00Z", now)], ["due", "in 5 m"]);
  });
});

describe("the dots of a pipeline", () => {
  test("are its runs, one a day", () => {
    const dots = Array.from({ length: 30 }, (_, at) => ({ run_id: `r${at}`, partition: "same", state: "success" }));
    assert.deepEqual(
      daysOf(dots).map((dot) => dot.run_id),
      dots.map((dot) => dot.run_id),
    );
  });
  test("show the worst of a day that has many", () => {
    const dots = Array.from({ length: 72 }, (_, hour) => ({
      run_id: `r${hour}`,
      partition: `2026-11-0${1 + Math.floor(hour / 24)}T${hour % 24}`,
      state: hour === 30 ? "failed" : "success",
    }));
    assert.deepEqual(
      daysOf(dots).map((dot) => [dot.run_id, dot.partition, dot.state, dot.runs]),
      [
        ["r23", "2026-11-01", "success", 24],
        ["r30", "2026-11-02", "failed", 24],
        ["r71", "2026-11-03", "success", 24],
      ],
    );
  });
  test("holders are named by partition, where the pipeline knows the run", () => {
    const dots = [{ run_id: "scheduled__2026-11-28T00:00:00+00:00", partition: "2026-11-28" }];
    assert.equal(
      holderWords({ holder: "d/scheduled__2026-11-28T00:00:00+00:00/control", count: 4 }, "d", dots),
      "2026-11-28/control × 4",
    );
    assert.equal(holderWords({ holder: "d/other/control", count: 1 }, "d", dots), "other/control × 1");
    assert.equal(holderWords({ holder: "e/r/control", count: 1 }, "d", dots), "e/r/control × 1");
    assert.equal(holderWords({ holder: null, count: 2 }, "d", dots), "another DAG's run × 2");
  });
});

describe("links", () => {
  for (const bad of [
    "javascript:alert(1)",
    " JavaScript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "",
    null,
    "http://",
  ]) {
    test(`never to ${JSON.stringify(bad)}`, () => assert.equal(safeUrl(bad), null));
  }
  test("ids are encoded", () => {
    assert.equal(pathOf("../../etc", "a b", '<img src="x">', 3), "..%2F..%2Fetc/a%20b/%3Cimg%20src%3D%22x%22%3E/3");
    assert.equal(
      consoleUrl("s3://b/a&b/v=1.json"),
      "https://console.aws.amazon.com/s3/object/b?prefix=a%26b%2Fv%3D1.json",
    );
    assert.deepEqual(["http://x/y", "javascript:x", null, "s3://b"].map(consoleUrl), [null, null, null, null]);
  });
});

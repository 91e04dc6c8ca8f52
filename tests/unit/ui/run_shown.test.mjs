// Every view of a run's tab and of the pipelines' page is made from hostile and empty data: none throws, none makes markup.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  "../../etc",
  "e".repeat(250),
  "🚀 emoji",
  "שלום",
  'it\'s "quoted"',
  "constructor",
  "__proto__",
  "",
];

/** As much of React as the views use: hooks that hold their first value. */
globalThis.React = {
  createElement: (type, props, ...children) => ({ type, props: { ...props, children } }),
  Component: class {
    constructor(props) {
      this.props = props;
    }
  },
  useState: (first) => [typeof first === "function" ? first() : first, () => undefined],
  useMemo: (make) => make(),
  useCallback: (fn) => fn,
  useRef: (first) => ({ current: first }),
  useEffect: () => undefined,
  useLayoutEffect: () => undefined,
};
globalThis.document = { createElement: () => ({ dataset: {} }), head: { append: () => undefined } };

const { RunPage, RunView } = await import("./static/run.js");
const { Versions } = await import("./static/versions.js");
const { Line, Overview } = await import("./static/overview.js");
await import("./static/shards_tab.js");
await import("./static/nav_page.js");

/** All elements and texts below, with function components called. */
function shown(node, found = { texts: [], elements: [] }) {
  if (node === null || node === undefined || typeof node === "boolean") return found;
  if (Array.isArray(node)) node.forEach((each) => shown(each, found));
  else if (typeof node !== "object") found.texts.push(String(node));
  else if (typeof node.type === "function") {
    const made = node.type.prototype?.render ? new node.type(node.props).render() : node.type(node.props);
    shown(made, found);
  } else {
    assert.equal(typeof node.type, "string");
    assert.ok(!("dangerouslySetInnerHTML" in node.props));
    found.elements.push(node);
    shown(node.props.children, found);
  }
  return found;
}

const h = React.createElement;
const EMPTY = {
  run: {
    run_id: "r",
    partition: "2013-01-01",
    state: "queued",
    start: null,
    end: null,
    run_after: "2013-01-01T00:00:00Z",
    active: true,
    usd: null,
  },
  headline: {
    state: "queued",
    seconds: null,
    usd: null,
    published: 0,
    missing: 0,
    done: 0,
    total: 0,
    eta_seconds: null,
  },
  lanes: [],
  services: [],
  critical: [],
  parallelism: [],
  quota: null,
  reasons: [],
  receipt: null,
  versions: [],
  make_current: { available: false },
};

function page(view) {
  return shown(h(RunPage, { dagId: "d", runId: "r", view, error: "", again: () => undefined }));
}

function full(names) {
  const lane = (name) => ({
    lane: name,
    variant: name,
    group: "",
    shards: names.map((each, at) => ({
      name: each,
      task_id: `${name}.shards.${each}`,
      map_index: -1,
      state: "PRSMFrwn- "[at % 10],
      tries: 2,
      micro_usd: 12,
      outcome: "lost",
      outcome_words: each,
      reason: each,
      segments:
        at % 4
          ? [
              ["waited", 0, at],
              ["running", at, at + 9],
            ]
          : [],
    })),
  });
  const lanes = names.slice(0, 2).map(lane);
  return {
    ...EMPTY,
    lanes,
    run: { ...EMPTY.run, partition: names[0], state: names[0], run_id: names[0] },
    headline: {
      ...EMPTY.headline,
      state: names[0],
      seconds: 5,
      usd: 0.1,
      failed: 1,
      total: 9,
      done: 3,
      eta_seconds: 0,
    },
    services: lanes.flatMap(({ lane: name }) =>
      names.map((each) => ({
        name: each,
        lane: name,
        count: 2,
        segments: [
          ["scaling up", 0, 2, 2],
          ["steady", 2, 5, 2],
        ],
      })),
    ),
    critical: names,
    parallelism: [
      [0, 1],
      [5, 0],
    ],
    quota: 3.5,
    reasons: names.map((each) => ({
      words: each,
      outcome: each,
      cells: names.map((name) => ["control", name, name, -1]),
    })),
    receipts: {
      [names[0]]: {
        variants: Object.fromEntries(
          names.map((each) => [
            each,
            { missing: names, services: [{ name: each, replaced: { [each]: 1 } }], unpriced: { [each]: 2 } },
          ]),
        ),
      },
    },
    versions: names.map((each, at) => ({
      lane: names[0],
      version: at,
      run_id: each,
      published_at: each,
      shards: 3,
      missing: 0,
      manifest_uri: each,
      current: at === 0,
    })),
    make_current: { available: true, dag_id: "ecs_feature_rollback" },
  };
}

describe("a run's page", () => {
  test("of a run that has nothing yet", () => {
    const { texts } = page(EMPTY);
    assert.ok(texts.includes("The receipt is written when the run ends."));
  });
  test("asks for the run first, and says so", () => {
    assert.deepEqual(shown(h(RunView, { dagId: "d", runId: "r" })).texts, ["Reading the run …"]);
    assert.equal(typeof globalThis["Shards"], "function");
  });
  for (const first of HOSTILE) {
    test(`of names like ${JSON.stringify(first).slice(0, 40)}`, () => {
      const names = [first, ...HOSTILE.filter((each) => each !== first)];
      const { texts, elements } = page(full(names));
      assert.ok(texts.some((text) => text.includes(first)));
      for (const { props } of elements) {
        if (props.href !== undefined) assert.match(props.href, /^(https?|file):/);
      }
    });
  }
  test("of 5,000 shards has only the rows in view", () => {
    const view = full(["control"]);
    view.lanes[0].shards = Array.from({ length: 5000 }, (_, at) => ({
      ...full(["x", "y"]).lanes[0].shards[1],
      name: `s-${at}`,
      task_id: `t.${at}`,
    }));
    const options = page(view).elements.filter(({ props }) => props.role === "option");
    assert.ok(options.length > 18 && options.length < 50, String(options.length));
    assert.equal(options[0].props["aria-setsize"], 5000);
  });
  test("has a button for each version but the current, and none where it may not be moved", () => {
    const view = full(["control", "treatment", "x"]);
    const texts = (how) => shown(h(Versions, { dagId: "d", runId: "r", view: { ...view, make_current: how } })).texts;
    const buttons = (how) => texts(how).filter((text) => text === "Make current").length;
    assert.deepEqual([buttons({ available: true }), buttons({ available: false }), buttons({})], [2, 0, 0]);
    view.versions[1] = { ...view.versions[1], manifest_uri: null, refused: "manifest_uri: elsewhere" };
    assert.equal(buttons({ available: true }), 1);
    assert.ok(texts({ available: true }).includes("not of this pipeline's output"));
  });
});

describe("the pipelines' page", () => {
  const line = {
    dag_id: "d",
    paused: true,
    dots: [],
    last: null,
    next: null,
    services: [],
    today_usd: null,
    month_usd: null,
  };
  test("asks first", () => {
    assert.ok(shown(h(Overview, {})).texts.includes("Reading the pipelines …"));
  });
  test("of a pipeline that has never run", () => {
    assert.ok(shown(h(Line, { pipeline: line, now: 0 })).texts.includes("no runs"));
  });
  test("says of a cost that more is to come while runs go on", () => {
    const texts = (more) => shown(h(Line, { pipeline: { ...line, ...more }, now: 0 })).texts;
    assert.deepEqual(texts({ today_usd: 0.5, so_far: true }).filter((text) => text === "so far" || text === "$0.500"), ["$0.500", "so far"]);
    assert.ok(!texts({ today_usd: null, so_far: true }).includes("so far"));
    assert.ok(!texts({ today_usd: 0.5, so_far: false }).includes("so far"));
  });
  for (const name of HOSTILE) {
    test(`of names like ${JSON.stringify(name).slice(0, 40)}`, () => {
      const dots = [{ run_id: name, partition: name, state: name }];
      const last = { run_id: name, partition: name, state: name, ok: 1, failed: 2, start: name, end: name };
      const services = [
        {
          name,
          arn: name,
          at: name,
          running: 1,
          desired: 2,
          holders: [{ holder: `${name}/${name}/`, count: 2, since: name }],
        },
      ];
      const { texts, elements } = shown(
        h(Line, { pipeline: { ...line, dag_id: name, dots, last, services, next: name }, now: 0 }),
      );
      assert.ok(texts.includes(name));
      for (const { props } of elements.filter((each) => each.type === "a")) assert.ok(!props.href.includes("<"));
    });
  }
});

/** The board's data: read once, then what has changed since, while the tab is seen. */

import { getJson, root, usePoll } from "./api.js";
import { changeWords, merged, question, withValues } from "./changes.js";

const { useCallback, useEffect, useRef, useState } = globalThis.React ?? {};
/** Seconds between two looks: while a run is active, and else. */
const ACTIVE = 4;
const QUIET = 30;

/** @param {string} dagId @param {number} runs */
export function useBoard(dagId, runs) {
  const [state, setState] = useState(/** @type {{data: any, error: string, news: string}} */ ({ data: null, error: "", news: "" }));
  const latest = useRef(/** @type {any} */ (null));
  /** One question at a time; an answer to an older one is dropped. */
  const turn = useRef(0);
  const asked = useRef(/** @type {Set<string>} */ (new Set()));
  /** The question that is on its way; null: none. */
  const busy = useRef(/** @type {object | null} */ (null));
  const once = useRef(false);

  const show = (/** @type {any} */ data, /** @type {string} */ news) => {
    latest.current = data;
    setState({ data, error: "", news });
  };
  const fail = (/** @type {any} */ reason) => setState((old) => ({ ...old, error: reason.words ?? String(reason) }));
  const done = (/** @type {object} */ mine) => {
    if (busy.current !== mine) return;
    busy.current = null;
    if (once.current) {
      once.current = false;
      latestLook.current();
    }
  };
  const load = useCallback(async () => {
    const mine = (turn.current += 1);
    const asking = (busy.current = {});
    try {
      const data = await getJson("api/board", { dag_id: dagId, runs });
      if (mine !== turn.current) return;
      asked.current = new Set();
      show(data, "");
    } catch (reason) {
      if (mine === turn.current) fail(reason);
    } finally {
      done(asking);
    }
  }, [dagId, runs]);
  const look = useCallback(async () => {
    const old = latest.current;
    if (!old) return undefined;
    if (busy.current) {
      once.current = true; // what was asked before may not have what has just been cleared
      return undefined;
    }
    if (!old.pipeline || !old.runs.length) return load();
    const mine = turn.current;
    const asking = (busy.current = {});
    try {
      const part = await getJson("api/board", { dag_id: dagId, runs, ...question(old, asked.current) });
      if (mine !== turn.current) return;
      const data = merged(latest.current, part);
      if (!data) return void load();
      if (part.runs.length) show(data, changeWords(old, data));
      else latest.current = { ...latest.current, at: part.at };
    } catch (reason) {
      if (mine === turn.current) fail(reason);
    } finally {
      done(asking);
    }
    return undefined;
  }, [dagId, runs, load]);
  const latestLook = useRef(look);
  latestLook.current = look;
  /** Values that a large board leaves out. */
  const need = useCallback(
    async (/** @type {string} */ what) => {
      const data = latest.current;
      if (!data || data.values !== false || asked.current.has(what)) return;
      asked.current.add(what);
      const mine = turn.current;
      try {
        const more = await getJson("api/board", { dag_id: dagId, runs, values: what });
        if (mine === turn.current) show(withValues(latest.current, more), "");
      } catch (reason) {
        asked.current.delete(what);
        if (mine === turn.current) fail(reason);
      }
    },
    [dagId, runs],
  );
  useEffect(() => {
    load();
    return () => {
      turn.current += 1;
    };
  }, [load]);
  const active = Boolean(state.data?.runs?.some((/** @type {any} */ run) => run.active));
  usePoll(() => (busy.current ? undefined : look()), { active: Boolean(state.data) && state.data.pipeline !== false, seconds: active ? ACTIVE : QUIET });
  return { ...state, again: look, need, open: useOpen() };
}

/** Follow a link to a page of Airflow without a reload, where the host has its router. */
function useOpen() {
  const router = /** @type {any} */ (globalThis).ReactRouterDOM;
  const inside = router?.useInRouterContext?.() ?? false;
  const navigate = inside && router.useNavigate ? router.useNavigate() : null;
  return (/** @type {MouseEvent} */ event, /** @type {string} */ path) => {
    if (!navigate || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(`/${new URL(path, root).href.slice(root.length)}`);
  };
}

/** What the browser asks: this package's read-only API, and Airflow's public one with the user's session. */

const { useEffect, useRef } = globalThis.React ?? {};

/** The address of this package's app, `.../ecs_feature/`; right below any base path. */
export const base = new URL("..", import.meta.url).href;
/** Airflow's own address. */
export const root = new URL("..", base).href;

/** An answer that is none: its HTTP status, and what to tell the user. */
export class ApiError extends Error {
  /**
   * @param {number} status 0: no answer at all
   * @param {string} words
   */
  constructor(status, words) {
    super(words);
    this.status = status;
    this.words = words;
  }
}

/** @param {URL | string} url @param {RequestInit} [options] @returns {Promise<any>} */
async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch {
    throw new ApiError(0, "Airflow does not answer.");
  }
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    value = null;
  }
  if (!response.ok) throw new ApiError(response.status, wordsOf(response.status, value));
  return value;
}

/** @param {number} status @param {any} value */
function wordsOf(status, value) {
  const detail = value && value.detail;
  if (typeof detail === "string") return detail;
  if (detail && typeof detail.reason === "string") return detail.reason;
  if (status === 401) return "Your session has ended; log in again.";
  if (status === 403) return "You may not see or do this.";
  return `Airflow answered with status ${status}.`;
}

/** @param {string} path e.g. `api/board` @param {Record<string, any>} [params] @param {any} [body] asks by POST: for what is too long for an address */
export function getJson(path, params = {}, body = undefined) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null) url.searchParams.set(name, String(value));
  }
  if (body === undefined) return ask(url);
  return ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** Airflow's public API. @param {string} method @param {string} path below `api/v2/` @param {any} [body] */
export function airflow(method, path, body) {
  return ask(new URL(`api/v2/${path.replace(/^\//, "")}`, root), {
    method,
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

/**
 * Call again every so many seconds, while it is worth it and the tab is seen.
 * @param {() => any} fn @param {{active: boolean, seconds: number}} options
 */
export function usePoll(fn, { active, seconds }) {
  const latest = useRef(fn);
  latest.current = fn;
  useEffect(() => {
    if (!active) return undefined;
    const call = () => {
      if (!document.hidden) latest.current();
    };
    const timer = setInterval(call, seconds * 1000);
    document.addEventListener("visibilitychange", call);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", call);
    };
  }, [active, seconds]);
}

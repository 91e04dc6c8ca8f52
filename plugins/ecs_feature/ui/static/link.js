/** A link to a page of Airflow, or out of it; without a reload where the host has its router. */

import { root } from "./api.js";

const { createElement: h } = globalThis.React ?? {};

/** The path of a page of Airflow from its parts, each encoded. @param {...(string | number)} parts */
export function pathOf(...parts) {
  return parts.map((part) => encodeURIComponent(String(part))).join("/");
}

/** Only pages of this Airflow and http(s) addresses; else null. @param {string | null | undefined} to */
export function safeUrl(to) {
  if (!to) return null;
  try {
    const url = new URL(to, root);
    return url.protocol === "http:" || url.protocol === "https:" ? url : null;
  } catch {
    return null;
  }
}

/** The host's navigation, or null. */
function useHostNavigate() {
  const router = /** @type {any} */ (globalThis).ReactRouterDOM;
  const inside = router?.useInRouterContext?.() ?? false;
  return inside && router.useNavigate ? router.useNavigate() : null;
}

/** @param {{to: string | null | undefined, children?: any, title?: string, label?: string, className?: string}} props `to` below Airflow's root, or an address */
export function Link({ to, children, title, label, className = "ecsf-link" }) {
  const navigate = useHostNavigate();
  const url = safeUrl(to);
  if (!url) return h("span", { title }, children);
  const own = url.href.startsWith(new URL(root).href);
  const follow = (/** @type {MouseEvent} */ event) => {
    if (!own || !navigate || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(`/${url.href.slice(new URL(root).href.length)}`);
  };
  const away = own ? {} : { target: "_blank", rel: "noopener noreferrer" };
  return h("a", { href: url.href, title, "aria-label": label, className, onClick: follow, ...away }, children);
}

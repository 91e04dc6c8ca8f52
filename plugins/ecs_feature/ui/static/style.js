/** The look that all views share: Airflow's own theme variables, so light and dark follow the host. */


const COMMON = `
.ecsf-root { color: var(--chakra-colors-fg, #18181b); font-size: 14px; line-height: 1.45; padding: 12px; }
.ecsf-root *, .ecsf-root *::before { box-sizing: border-box; }
.ecsf-muted { color: var(--chakra-colors-fg-muted, #52525b); }
.ecsf-button { display: inline-flex; align-items: center; gap: 6px; height: 28px; padding: 0 10px; border-radius: 5px; cursor: pointer;
  border: 1px solid var(--chakra-colors-border, #d4d4d8); background: var(--chakra-colors-bg, #fff); color: inherit; font-size: 13px; white-space: nowrap; }
.ecsf-button:hover { background: var(--chakra-colors-bg-muted, #f4f4f5); }
.ecsf-button:disabled { opacity: .5; cursor: default; }
.ecsf-primary { background: var(--chakra-colors-brand-solid, #3d5a88); border-color: transparent; color: var(--chakra-colors-brand-contrast, #fff); font-weight: 600; }
.ecsf-primary:hover { background: var(--chakra-colors-brand-solid, #3d5a88); filter: brightness(1.1); }
.ecsf-chip { display: inline-flex; align-items: center; gap: 6px; height: 26px; padding: 0 10px; border-radius: 13px; font-size: 13px;
  border: 1px solid var(--chakra-colors-border, #d4d4d8); background: transparent; color: inherit; white-space: nowrap; }
.ecsf-segmented { display: inline-flex; border: 1px solid var(--chakra-colors-border, #d4d4d8); border-radius: 5px; overflow: hidden; }
.ecsf-segmented > button { height: 26px; padding: 0 10px; font-size: 13px; background: transparent; color: inherit; cursor: pointer; border: 0; }
.ecsf-segmented > button[aria-pressed="true"] { background: var(--chakra-colors-brand-solid, #3d5a88); color: var(--chakra-colors-brand-contrast, #fff); }
.ecsf-input { height: 28px; padding: 0 9px; border-radius: 5px; border: 1px solid var(--chakra-colors-border, #d4d4d8); background: var(--chakra-colors-bg, #fff); color: inherit; font-size: 13px; }
.ecsf-card { border: 1px solid var(--chakra-colors-border, #e4e4e7); border-radius: 8px; padding: 12px 14px; background: var(--chakra-colors-bg, #fff); }
.ecsf-note { border: 1px solid var(--chakra-colors-border, #e4e4e7); border-radius: 8px; padding: 10px 14px; color: var(--chakra-colors-fg-muted, #52525b); }
.ecsf-root :focus-visible { outline: 2px solid var(--chakra-colors-brand-focus-ring, #3b82f6); outline-offset: 1px; }
`;

/** @type {Set<string>} */
const there = new Set();

/** @param {string} css */
function add(css) {
  if (there.has(css)) return;
  there.add(css);
  const element = document.createElement("style");
  element.dataset.ecsf = "";
  element.textContent = css;
  document.head.append(element);
}

/** Put the common styles, and a view's own, into the page once. @param {string} [css] */
export function useStyles(css = "") {
  add(COMMON);
  if (css) add(css);
}

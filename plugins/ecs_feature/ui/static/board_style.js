/** The look of the board and of the rerun's sheet. */

import { CELL_CSS } from "./cells.js";

const LINE = "var(--chakra-colors-border, #e4e4e7)";
const BG = "var(--chakra-colors-bg, #fff)";
const MUTED = "var(--chakra-colors-fg-muted, #52525b)";
const LINK = "var(--chakra-colors-fg-info, #1d4ed8)";

/** In a low window the strip is short, and scrolls. */
export const LOW = "(max-height: 720px)";
export const LOW_STRIP = 64;

export const BOARD_CSS = `
.ecsf-board { display: flex; flex-direction: column; gap: 8px; --ecsf-names: 196px; --ecsf-column: 20px; }
.ecsf-board .ecsf-controls { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; min-height: 28px; }
.ecsf-board .ecsf-controls > .ecsf-push { margin-left: auto; display: inline-flex; gap: 8px; align-items: center; }
.ecsf-board .ecsf-input { width: 150px; }
.ecsf-board label.ecsf-pick { display: inline-flex; align-items: center; gap: 6px; font-size: 13px; color: ${MUTED}; }
.ecsf-board select.ecsf-input { width: auto; padding: 0 6px; }
.ecsf-board .ecsf-chip { cursor: pointer; padding: 0 8px; gap: 5px; font-size: 12px; line-height: 1; font-variant-numeric: tabular-nums; }
.ecsf-board .ecsf-chip[aria-pressed="true"] { border-color: var(--chakra-colors-fg, #18181b); box-shadow: inset 0 0 0 1px var(--chakra-colors-fg, #18181b); }
.ecsf-board .ecsf-chip:hover { background: var(--chakra-colors-bg-muted, #f4f4f5); }
.ecsf-board .ecsf-mark, .ecsf-sheet .ecsf-mark { width: 14px; height: 14px; flex: none; display: block; }
.ecsf-board .ecsf-link, .ecsf-sheet .ecsf-link { color: ${LINK}; background: none; border: 0; padding: 0; font: inherit; cursor: pointer; }
.ecsf-board .ecsf-link:hover, .ecsf-sheet .ecsf-link:hover { text-decoration: underline; }
.ecsf-b-grid { position: relative; overflow: auto; border: 1px solid ${LINE}; border-radius: 8px; background: ${BG}; overscroll-behavior: contain auto; contain: strict; outline-offset: -2px !important; }
.ecsf-b-heads { position: sticky; top: 0; z-index: 3; display: flex; width: max-content; min-width: 100%; height: 70px; background: ${BG}; border-bottom: 1px solid ${LINE}; }
.ecsf-b-corner { position: sticky; left: 0; z-index: 1; flex: none; width: var(--ecsf-names); padding: 0 8px 7px 10px; background: ${BG}; display: flex; flex-direction: column; justify-content: flex-end; line-height: 1.35; }
.ecsf-b-corner strong { font-size: 13px; font-weight: 600; }
.ecsf-b-corner small { font-size: 12px; color: ${MUTED}; }
.ecsf-b-head { flex: none; width: var(--ecsf-column); height: 100%; }
.ecsf-b-head a { position: relative; display: block; width: 100%; height: 69px; color: inherit; text-align: center; text-decoration: none; cursor: pointer; outline-offset: -2px !important; }
.ecsf-b-head a:hover { background: var(--chakra-colors-bg-muted, #f4f4f5); }
.ecsf-b-bars { position: absolute; left: 50%; margin-left: -8px; top: 5px; width: 16px; height: 32px; border-bottom: 1px solid ${LINE}; }
.ecsf-b-bars i { position: absolute; bottom: 0; left: 0; width: 10px; border-radius: 1px; }
.ecsf-b-bar-ok { background: var(--chakra-colors-success-solid, #008000); }
.ecsf-b-bar-bad { background: var(--chakra-colors-failed-solid, #dc2626); }
.ecsf-b-bars .ecsf-b-bar-cost { left: 12px; width: 4px; background: ${MUTED}; opacity: .45; }
.ecsf-b-head small { position: absolute; left: 0; top: 39px; min-width: 100%; font-size: 11px; line-height: 13px; font-weight: 600; white-space: nowrap; text-align: center; pointer-events: none; }
.ecsf-b-head b { position: absolute; left: 0; right: 0; bottom: 3px; font-size: 11px; line-height: 14px; font-weight: 500; color: ${MUTED}; font-variant-numeric: tabular-nums; white-space: nowrap; overflow: hidden; }
.ecsf-b-head .ecsf-b-active b { color: var(--chakra-colors-fg, #18181b); font-weight: 700; text-decoration: underline; text-underline-offset: 2px; }
.ecsf-b-head em { position: absolute; left: 0; right: 0; bottom: 2px; font-size: 10px; line-height: 12px; font-style: normal; color: ${MUTED}; white-space: nowrap; overflow: hidden; }
.ecsf-b-heads:has(em:not(:empty)) { height: 82px; }
.ecsf-b-heads:has(em:not(:empty)) a { height: 81px; }
.ecsf-b-heads:has(em:not(:empty)) b { bottom: 15px; }
.ecsf-b-rows { position: relative; min-width: 100%; }
.ecsf-b-row { position: absolute; top: 0; left: 0; display: flex; height: 22px; width: 100%; overflow-y: clip; contain: layout style; }
.ecsf-b-row[hidden] { display: none; }
.ecsf-b-row:hover, .ecsf-b-row:hover .ecsf-b-name { background: var(--chakra-colors-bg-muted, #f4f4f5); }
.ecsf-b-name { position: sticky; left: 0; z-index: 2; flex: none; width: var(--ecsf-names); height: 22px; padding: 0 8px 0 10px; display: flex; align-items: center; gap: 4px; background: ${BG}; font-size: 13px; line-height: 22px; }
.ecsf-b-name bdi { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ecsf-b-name b { font-size: 12px; font-weight: 600; color: #b91c1c; font-variant-numeric: tabular-nums; }
.dark .ecsf-b-name b { color: #fca5a5; }
.ecsf-b-name span { font-size: 12px; color: ${MUTED}; min-width: 54px; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.ecsf-b-gone bdi { color: ${MUTED}; text-decoration: line-through; }
.ecsf-b-gap { flex: none; }
.ecsf-b-cell { flex: none; width: var(--ecsf-column); height: 22px; padding: 3px 2px; display: flex; gap: 1px; cursor: pointer; outline: none; user-select: none; -webkit-user-select: none; -webkit-touch-callout: none; touch-action: pan-x pan-y; }
.ecsf-root .ecsf-b-cell:focus-visible { outline: 2px solid var(--chakra-colors-brand-focus-ring, #3b82f6); outline-offset: -1px; border-radius: 5px; }
.ecsf-b-below { position: sticky; bottom: -8px; z-index: 4; margin: 0 -8px -8px; padding: 0 8px 8px; --ecsf-most: 60vh; max-height: var(--ecsf-most); overflow: auto; flex: none; background: ${BG}; overscroll-behavior: contain auto; }
@media ${LOW} { .ecsf-board .ecsf-b-below { --ecsf-most: ${LOW_STRIP + 8}px; border-top: 1px solid ${LINE}; } .ecsf-b-below .ecsf-b-log { max-height: none; } }
.ecsf-b-strip { min-height: 64px; font-size: 13px; display: flex; flex-direction: column; gap: 8px; outline: none; }
.ecsf-b-strip p { margin: 0; padding-top: 2px; }
.ecsf-b-line { display: flex; align-items: center; gap: 4px 14px; flex-wrap: wrap; min-height: 26px; }
.ecsf-b-tick { display: inline-flex; align-items: center; gap: 6px; min-height: 24px; cursor: pointer; }
.ecsf-b-tick input { width: 16px; height: 16px; margin: 0; accent-color: var(--chakra-colors-brand-solid, #3d5a88); }
.ecsf-b-line > .ecsf-mark { margin-right: -6px; }
.ecsf-b-line strong { font-weight: 600; }
.ecsf-b-strip bdi { overflow-wrap: anywhere; }
.ecsf-b-reason { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ecsf-b-log { margin: 4px 0 0; padding: 8px 10px; max-height: 200px; overflow: auto; border: 1px solid ${LINE}; border-radius: 6px; background: var(--chakra-colors-bg-subtle, #fafafa); font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.ecsf-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
${CELL_CSS}
`;

export const SHEET_CSS = `
.ecsf-sheet { width: min(720px, calc(100vw - 32px)); max-height: calc(100vh - 64px); margin: auto; padding: 0; border: 1px solid ${LINE}; border-radius: 10px; background: ${BG}; color: var(--chakra-colors-fg, #18181b); font-size: 14px; line-height: 1.45; box-shadow: 0 16px 48px rgb(0 0 0 / .28); }
.ecsf-sheet[open] { display: flex; flex-direction: column; }
.ecsf-sheet::backdrop { background: rgb(0 0 0 / .45); }
.ecsf-sheet header { padding: 16px 20px 8px; }
.ecsf-sheet h2 { margin: 0; font-size: 17px; font-weight: 600; }
.ecsf-sheet header p { margin: 2px 0 0; font-size: 13px; color: ${MUTED}; }
.ecsf-sheet-runs { flex: 1; min-height: 0; overflow: auto; padding: 6px 20px; display: flex; flex-direction: column; gap: 10px; }
.ecsf-sheet section { border: 1px solid ${LINE}; border-radius: 8px; padding: 10px 14px; flex: none; }
.ecsf-sheet h3 { margin: 0 0 6px; font-size: 14px; font-weight: 600; display: flex; justify-content: space-between; gap: 12px; }
.ecsf-sheet h3 span:last-child { font-weight: 400; color: ${MUTED}; font-size: 13px; }
.ecsf-sheet dl { margin: 0; display: grid; grid-template-columns: 96px 1fr; gap: 3px 12px; font-size: 13px; }
.ecsf-sheet dt { color: ${MUTED}; }
.ecsf-sheet dd { margin: 0; min-width: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.ecsf-sheet .ecsf-bad { margin: 6px 0 0; font-size: 13px; color: var(--chakra-colors-fg-error, #b91c1c); }
.ecsf-sheet .ecsf-said { margin: 0; padding: 0 20px; font-size: 13px; color: ${MUTED}; }
.ecsf-sheet .ecsf-said:not(:empty) { padding-top: 4px; }
.ecsf-sheet footer { display: flex; align-items: center; gap: 8px; padding: 12px 20px 16px; }
.ecsf-sheet footer strong { margin-right: auto; font-size: 13px; font-weight: 600; font-variant-numeric: tabular-nums; }
.ecsf-sheet footer .ecsf-button { height: 32px; padding: 0 14px; }
.ecsf-sheet :focus-visible { outline: 2px solid var(--chakra-colors-brand-focus-ring, #3b82f6); outline-offset: 1px; }
`;

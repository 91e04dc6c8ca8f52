/** The board's grid: recycled rows, so that 5,000 shards scroll as well as 50. Plain DOM; only text is ever put into it. */

import { count } from "./format.js";
import { element, newRow, paintRow, ROW } from "./grid_row.js";
import { headInto, headsOf, newHead } from "./heads.js";
import { pointed, withPointer } from "./pointer.js";

const SPARE = 6;
/** Columns are painted in blocks, so that scrolling sideways seldom paints. */
const BLOCK = 8;

/**
 * @typedef {{data: any, lanes: string[], rows: number[], painting: import("./cells.js").Painting, selected: Set<string>, value: (shard: number) => string,
 *   failures: Int32Array, gone: Set<number>, width: number, hrefOf: (run: any) => string}} View
 * @typedef {{row: number, column: number}} Place row: a position in the rows, -1: the heads
 * @typedef {{onMove: (place: Place) => void, onTick: (place: Place, lane: string | null) => void, onRange: (from: Place, to: Place, done: boolean) => void,
 *   onClear: () => void, onEnter: () => void, onOpen: (event: MouseEvent, run: any) => void}} Hooks
 */

export class Grid {
  /** @param {HTMLElement} host @param {Hooks} hooks */
  constructor(host, hooks) {
    this.hooks = hooks;
    this.host = host;
    /** @type {View | null} */
    this.view = null;
    /** @type {Place} */
    this.active = { row: 0, column: 0 };
    /** @type {Place | null} */
    this.anchor = null;
    this.version = 0;
    /** The columns that are painted: from, to (not included). */
    this.columns = [0, 0];
    /** @type {any[]} */
    this.pool = [];
    this.heads = element("div", "ecsf-b-heads", "row");
    this.corner = element("div", "ecsf-b-corner", "columnheader");
    this.corner.append(document.createElement("strong"), document.createElement("small"));
    this.body = element("div", "ecsf-b-rows", "rowgroup");
    this.heads.append(this.corner);
    host.append(this.heads, this.body);
    host.tabIndex = 0;
    this.frame = 0;
    host.addEventListener("scroll", () => this.soon(), { passive: true });
    host.addEventListener("keydown", (event) => this.key(event));
    host.addEventListener("click", (event) => {
      const link = /** @type {any} */ (event.target)?.closest?.(".ecsf-b-head a");
      if (link && this.view) hooks.onOpen(event, this.view.data.runs[link.parentElement.column]);
    });
    this.free = withPointer(this);
    this.sized = new ResizeObserver(() => this.soon());
    this.sized.observe(host);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.sized.disconnect();
    this.free();
    this.host.replaceChildren();
  }

  soon() {
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.paint();
      });
    }
  }

  /** @param {View} view */
  update(view) {
    const first = !this.view;
    const columns = view.data.runs.length;
    const grew = columns !== this.view?.data.runs.length || view.width !== this.view?.width;
    if (view.data !== this.view?.data) this.showHeads(view);
    this.view = view;
    this.version += 1;
    this.host.style.setProperty("--ecsf-column", `${view.width}px`);
    this.host.setAttribute("aria-rowcount", String(view.rows.length + 1));
    this.host.setAttribute("aria-colcount", String(columns + 1));
    this.body.style.height = `${view.rows.length * ROW}px`;
    this.active.row = Math.max(-1, Math.min(this.active.row, view.rows.length - 1));
    if (first) this.active.column = columns - 1;
    this.active.column = Math.max(0, Math.min(this.active.column, columns - 1));
    this.body.style.width = `calc(var(--ecsf-names) + ${columns * view.width}px)`;
    if (first || grew) this.host.scrollLeft = this.host.scrollWidth; // the newest run is at the right
    const many = view.data.shards.length;
    const [shown, of] = /** @type {HTMLElement[]} */ ([...this.corner.children]);
    shown.textContent = `${view.rows.length.toLocaleString("en")}${view.rows.length < many ? ` of ${many.toLocaleString("en")}` : ""} shard${many === 1 ? "" : "s"}`;
    of.textContent = count(columns, "run");
    this.paint();
  }

  /** @param {View} view */
  showHeads(view) {
    const { runs, shards } = view.data;
    while (this.heads.children.length - 1 > runs.length) this.heads.lastChild?.remove();
    while (this.heads.children.length - 1 < runs.length) this.heads.append(newHead());
    const words = headsOf(runs);
    const most = Math.max(1, shards.length * view.data.lanes.length);
    const dearest = runs.reduce((/** @type {number} */ top, /** @type {any} */ run) => Math.max(top, run.usd ?? 0), 0);
    runs.forEach((/** @type {any} */ run, /** @type {number} */ column) => {
      const head = /** @type {any} */ (this.heads.children[column + 1]);
      head.column = column;
      head.setAttribute("aria-colindex", String(column + 2));
      head.firstChild.href = view.hrefOf(run);
      headInto(head, run, words[column], most, dearest);
    });
  }

  /** Show the rows that are in sight; a row that stays is left alone. */
  paint() {
    const view = this.view;
    if (!view) return;
    const { rows } = view;
    this.window(view); // reads before anything is written, which would have the browser lay out the page at once
    const seen = Math.ceil(this.host.clientHeight / ROW) + SPARE;
    const first = Math.max(0, Math.floor(this.host.scrollTop / ROW) - SPARE / 2);
    while (this.pool.length < seen) {
      const row = newRow();
      this.body.append(row);
      this.pool.push(row);
    }
    const many = this.pool.length;
    const held = this.body.contains(document.activeElement) && document.activeElement !== this.body;
    let focus = null;
    for (let step = 0; step < many; step++) {
      const position = first + step;
      const row = this.pool[position % many];
      if (position >= rows.length) {
        if (!row.hidden) row.hidden = true;
        row.position = -1;
        continue;
      }
      if (row.position !== position || row.version !== this.version) paintRow(row, position, view, this.version, this.columns);
    }
    for (const row of this.pool) {
      const mine = row.position === this.active.row ? this.active.column - this.columns[0] : -1;
      if (row.tabbed !== mine) {
        if (row.cells[row.tabbed]) row.cells[row.tabbed].tabIndex = -1;
        if (row.cells[mine]) row.cells[mine].tabIndex = 0;
        row.tabbed = mine;
      }
      if (row.cells[mine]) focus = row.cells[mine];
    }
    this.host.tabIndex = focus ? -1 : 0;
    if (held && document.activeElement !== focus) (focus ?? this.host).focus({ preventScroll: true });
  }

  /** Which columns are in sight. @param {View} view */
  window(view) {
    const many = view.data.runs.length;
    const first = Math.floor(this.host.scrollLeft / view.width);
    const last = first + Math.ceil(this.host.clientWidth / view.width);
    const from = Math.max(0, Math.floor((first - 2) / BLOCK) * BLOCK);
    const to = Math.min(many, Math.ceil((last + 2) / BLOCK) * BLOCK);
    if (from === this.columns[0] && to === this.columns[1]) return;
    this.columns = [from, to];
    this.version += 1;
  }

  /** Make a place the active one, and bring it in sight. @param {Place} place @param {boolean} [focus] */
  go(place, focus = true) {
    const view = this.view;
    if (!view || !view.data.runs.length) return;
    this.active = {
      row: Math.max(-1, Math.min(place.row, view.rows.length - 1)),
      column: Math.max(0, Math.min(place.column, view.data.runs.length - 1)),
    };
    const { row, column } = this.active;
    const head = this.heads.offsetHeight;
    const names = this.corner.offsetWidth;
    if (row >= 0) {
      const top = row * ROW;
      if (top < this.host.scrollTop) this.host.scrollTop = top;
      else if (top + ROW > this.host.scrollTop + this.host.clientHeight - head) this.host.scrollTop = top + ROW - this.host.clientHeight + head;
    }
    const left = column * view.width;
    if (left < this.host.scrollLeft) this.host.scrollLeft = left;
    else if (left + view.width > this.host.scrollLeft + this.host.clientWidth - names) this.host.scrollLeft = left + view.width - this.host.clientWidth + names;
    this.paint();
    if (focus) {
      const target = row < 0 ? this.heads.children[column + 1]?.firstChild : this.pool.find((each) => each.position === row)?.cells[column - this.columns[0]];
      /** @type {any} */ (target)?.focus({ preventScroll: true });
    }
    if (row >= 0) this.hooks.onMove(this.active);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const view = this.view;
    if (!view || !view.data.runs.length) return;
    const page = Math.max(1, Math.floor(this.host.clientHeight / ROW) - 3);
    const { row, column } = this.active;
    const far = event.ctrlKey || event.metaKey;
    const to = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      PageUp: [Math.max(0, row - page), column],
      PageDown: [row + page, column],
      Home: [far ? 0 : row, 0],
      End: [far ? view.rows.length - 1 : row, view.data.runs.length - 1],
    }[event.key];
    if (to && !event.altKey) {
      event.preventDefault();
      const place = { row: event.shiftKey ? Math.max(0, to[0]) : to[0], column: to[1] };
      if (event.shiftKey && row >= 0) this.anchor ??= { row, column };
      if (!event.shiftKey) this.settle();
      this.go(place);
      if (event.shiftKey && this.anchor) this.hooks.onRange(this.anchor, this.active, false);
      return;
    }
    if (event.key === " " && row >= 0) {
      event.preventDefault();
      this.settle();
      this.hooks.onTick(this.active, null);
    } else if (event.key === "Enter" && row >= 0) {
      event.preventDefault();
      this.hooks.onEnter();
    } else if (event.key === "Escape") {
      this.settle();
      this.hooks.onClear();
    }
  }

  /** The range that grew with the shift key is done. */
  settle() {
    if (this.anchor) this.hooks.onRange(this.anchor, this.active, true);
    this.anchor = null;
  }

  /** What is at this element. @param {any} target */
  placeOf(target) {
    return pointed(target, this.view);
  }
}

/** Click, shift-range and rectangle on the grid; by touch a tap chooses, and a long press ticks: a finger scrolls, too. */

/** How long a finger stays for a long press, as the systems have it, and how far it may move. */
const LONG_MS = 500;
const STILL_PX = 10;

/** The place and the lane of an element in the grid; null: none. @param {any} target @param {any} view */
export function pointed(target, view) {
  const cell = target?.closest?.(".ecsf-b-cell");
  if (!cell || !view) return null;
  const part = target.closest(".ecsf-part");
  const at = part ? [...cell.children].indexOf(part) : -1;
  return { place: { row: cell.parentElement.position, column: cell.column }, lane: view.lanes.length > 1 ? view.lanes[at] ?? null : null };
}

/** @param {any} grid @returns {() => void} how to stop */
export function withPointer(grid) {
  const host = grid.host;
  /** @type {{from: any, lane: string | null, moved: boolean} | null} */
  let drag = null;
  /** @type {any} */
  let last = null;
  /** A finger that is down. @type {{x: number, y: number, timer: any, ticked: boolean} | null} */
  let press = null;

  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    const found = grid.placeOf(event.target);
    if (event.pointerType === "touch") {
      lift();
      if (!found || found.place.row < 0) return;
      /** @type {NonNullable<typeof press>} */
      const mine = { x: event.clientX, y: event.clientY, ticked: false, timer: 0 };
      press = mine;
      mine.timer = setTimeout(() => {
        mine.ticked = true;
        tick(found.place, found.lane);
      }, LONG_MS);
      return;
    }
    if (!found || found.place.row < 0) return;
    event.preventDefault(); // no text is marked while a rectangle is drawn
    if (event.shiftKey && last) {
      grid.settle();
      grid.go(found.place);
      grid.hooks.onRange(last, found.place, true);
      return;
    }
    drag = { from: found.place, lane: found.lane, moved: false };
  };
  const move = (/** @type {PointerEvent} */ event) => {
    if (press && Math.hypot(event.clientX - press.x, event.clientY - press.y) > STILL_PX) lift();
    if (!drag) return;
    const found = grid.placeOf(document.elementFromPoint(event.clientX, event.clientY));
    nudge(host, event);
    if (!found) return;
    const { row, column } = found.place;
    if (!drag.moved && row === drag.from.row && column === drag.from.column) return;
    drag.moved = true;
    grid.go(found.place, false);
    grid.hooks.onRange(drag.from, found.place, false);
  };
  const up = (/** @type {PointerEvent} */ event) => {
    clearTimeout(press?.timer);
    if (event.type === "pointercancel") lift(); // the page scrolls
    if (!drag) return;
    const { from, lane, moved } = drag;
    drag = null;
    last = from;
    if (moved) grid.hooks.onRange(from, grid.active, true);
    else if (event.type === "pointerup") tick(from, lane);
  };
  const tick = (/** @type {any} */ place, /** @type {string | null} */ lane) => {
    grid.settle();
    grid.go(place);
    grid.hooks.onTick(place, lane);
  };
  const lift = () => {
    clearTimeout(press?.timer);
    press = null;
  };
  const touched = (/** @type {MouseEvent} */ event) => {
    if (/** @type {any} */ (event).pointerType !== "touch") return;
    const found = press?.ticked ? null : grid.placeOf(event.target);
    lift();
    if (!found || found.place.row < 0) return;
    grid.settle();
    grid.go(found.place);
  };
  /** No menu over a cell that a long press ticks. */
  const menu = (/** @type {Event} */ event) => {
    if (press) event.preventDefault();
  };
  // A hint in words, made for the cell that is pointed at only.
  const over = (/** @type {PointerEvent} */ event) => {
    const cell = /** @type {any} */ (event.target)?.closest?.(".ecsf-b-cell");
    if (cell) cell.title = cell.getAttribute("aria-label") ?? "";
  };
  host.addEventListener("pointerover", over);
  host.addEventListener("pointerdown", down);
  host.addEventListener("click", touched);
  host.addEventListener("contextmenu", menu);
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", up);
  window.addEventListener("pointercancel", up);
  return () => {
    lift();
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", up);
    window.removeEventListener("pointercancel", up);
  };
}

/** Scroll while a rectangle is drawn past the edge. @param {HTMLElement} host @param {PointerEvent} event */
function nudge(host, event) {
  const box = host.getBoundingClientRect();
  if (event.clientY > box.bottom - 14) host.scrollTop += 22;
  else if (event.clientY < box.top + /** @type {HTMLElement} */ (host.firstElementChild).offsetHeight) host.scrollTop -= 22;
  if (event.clientX > box.right - 14) host.scrollLeft += 20;
}

/** Click, shift-range and rectangle on the grid. */

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

  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const found = grid.placeOf(event.target);
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
  const touched = (/** @type {MouseEvent} */ event) => {
    if (/** @type {any} */ (event).pointerType !== "touch") return;
    const found = grid.placeOf(event.target);
    if (found && found.place.row >= 0) tick(found.place, found.lane);
  };
  // A hint in words, made for the cell that is pointed at only.
  const over = (/** @type {PointerEvent} */ event) => {
    const cell = /** @type {any} */ (event.target)?.closest?.(".ecsf-b-cell");
    if (cell) cell.title = cell.getAttribute("aria-label") ?? "";
  };
  host.addEventListener("pointerover", over);
  host.addEventListener("pointerdown", down);
  host.addEventListener("click", touched);
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", up);
  window.addEventListener("pointercancel", up);
  return () => {
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", up);
    window.removeEventListener("pointercancel", up);
  };
}

/** Scroll while a rectangle is drawn past the edge. @param {HTMLElement} host @param {PointerEvent} event */
function nudge(host, event) {
  const box = host.getBoundingClientRect();
  if (event.clientY > box.bottom - 14) host.scrollTop += 22;
  else if (event.clientY < box.top + 70) host.scrollTop -= 22;
  if (event.clientX > box.right - 14) host.scrollLeft += 20;
}

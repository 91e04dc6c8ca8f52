/** A row of the board's grid, filled anew for each shard that it shows. */

import { classOf, labelOf } from "./cells.js";
import { keyOf } from "./selection.js";

export const ROW = 22;

/** @returns {any} */
export function newRow() {
  const row = /** @type {any} */ (element("div", "ecsf-b-row", "row"));
  row.head = element("div", "ecsf-b-name", "rowheader");
  row.head.append(document.createElement("bdi"), document.createElement("b"), document.createElement("span"));
  row.gap = element("div", "ecsf-b-gap", "none");
  row.append(row.head, row.gap);
  row.cells = [];
  row.position = row.tabbed = -1;
  row.hidden = true;
  return row;
}

/** @param {any} row @param {number} position @param {import("./grid.js").View} view @param {number} version @param {number[]} columns from, to (not included) */
export function paintRow(row, position, view, version, columns) {
  const { data, lanes, painting, selected } = view;
  const shard = view.rows[position];
  if (row.hidden) row.hidden = false;
  if (row.position !== position) {
    row.style.transform = `translateY(${position * ROW}px)`;
    row.setAttribute("aria-rowindex", String(position + 2));
  }
  row.position = position;
  row.version = version;
  const [name, failed, value] = row.head.children;
  text(name, data.shards[shard]);
  name.title = data.shards[shard] + (view.gone.has(shard) ? " (no longer a shard of this DAG)" : "");
  text(failed, view.failures[shard] ? `${view.failures[shard]}×` : "");
  text(value, view.value(shard));
  row.head.classList.toggle("ecsf-b-gone", view.gone.has(shard));
  const [from, to] = columns;
  if (row.from !== from || row.wide !== view.width) row.gap.style.width = `${from * view.width}px`;
  row.from = from;
  row.wide = view.width;
  while (row.cells.length > to - from) row.cells.pop().remove();
  while (row.cells.length < to - from) row.cells.push(row.appendChild(newCell()));
  for (let column = from; column < to; column++) {
    const cell = row.cells[column - from];
    if (cell.column !== column) {
      cell.column = column;
      cell.setAttribute("aria-colindex", String(column + 2));
    }
    while (cell.children.length > lanes.length) cell.lastChild.remove();
    while (cell.children.length < lanes.length) cell.append(document.createElement("i"));
    let ticked = 0;
    for (let at = 0; at < lanes.length; at++) {
      let look = classOf(painting, lanes[at], column, shard);
      if (selected.size && selected.has(keyOf(data.runs[column].run_id, lanes[at], data.shards[shard]))) {
        look += " ecsf-on";
        ticked += 1;
      }
      const part = cell.children[at];
      if (part.look !== look) part.className = part.look = look;
    }
    const label = labelOf(painting, column, shard);
    if (cell.label !== label) {
      cell.label = label;
      cell.setAttribute("aria-label", label);
    }
    if (cell.ticked !== ticked) {
      cell.ticked = ticked;
      cell.setAttribute("aria-selected", String(ticked > 0));
    }
  }
}

/** @param {string} name @param {string} className @param {string} role */
export function element(name, className, role) {
  const made = document.createElement(name);
  made.className = className;
  made.setAttribute("role", role);
  return made;
}

/** @returns {any} */
function newCell() {
  const cell = /** @type {any} */ (element("div", "ecsf-b-cell", "gridcell"));
  cell.tabIndex = -1;
  return cell;
}

/** @param {any} node @param {string} value */
function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

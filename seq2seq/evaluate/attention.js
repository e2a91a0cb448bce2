const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
for (const kind of data.kinds) kind.bytes = Uint8Array.from(atob(kind.weights), char => char.charCodeAt(0));
let kind = data.kinds[0], layer = 0, head = -1, at = [0, 0], cells = [], rowHeads = [], columnHeads = [];

/* The weights of a head from 0 to 1, row by row; head -1 is the mean of a layer's heads. */
function weights(layer, head) {
  const size = kind.rows.length * kind.columns.length, start = layer * kind.heads * size;
  const out = new Float32Array(size);
  const heads = head < 0 ? [...Array(kind.heads).keys()] : [head];
  for (const each of heads)
    for (let i = 0; i < size; i++) out[i] += kind.bytes[start + each * size + i] / 255 / heads.length;
  return out;
}

/* Light pages show weights from light to dark, dark ones from dark to light. */
function colour(weight) {
  const scale = dark.matches ? [[31, 34, 36], ...data.scale.toReversed().slice(1)] : data.scale;
  const place = Math.min(Math.max(weight, 0), 1) * (scale.length - 1), low = Math.min(Math.floor(place), scale.length - 2);
  return scale[low].map((value, i) => Math.round(value + (scale[low + 1][i] - value) * (place - low)));
}

function paint(canvas, values) {
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => image.data.set([...colour(value), 255], 4 * i));
  context.putImageData(image, 0, 0);
}

const name = head => head < 0 ? "mean of heads" : `head ${head + 1}`;
const percent = value => value > 0 && value < 0.005 ? "less than 1 %" : `${Math.round(100 * value)} %`;
/* SentencePiece writes a space as U+2581; where a piece is nothing else it must still be seen. */
const shown = piece => piece.replaceAll("\n", "\u21b5").replaceAll("\u2581", " ").trim() || "\u2423";

/* What a head does, in words: for those who do not see the picture. */
function summary(values) {
  const n = kind.columns.length;
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return `strongest: ${shown(kind.rows[Math.floor(best / n)])} looks at ${shown(kind.columns[best % n])}, ${percent(values[best])}`;
}

function drawOverview() {
  const chosen = byId("layers").value, parts = [];
  for (let i = 0; i < kind.layers; i++) {
    if (chosen !== "all" && Number(chosen) !== i) continue;
    const title = document.createElement("h3"), list = document.createElement("ul");
    title.textContent = `Layer ${i + 1}`;
    list.className = "layer";
    for (let j = -1; j < kind.heads; j++) {
      if (j < 0 && kind.heads === 1) continue;
      const item = document.createElement("li"), button = document.createElement("button"), canvas = document.createElement("canvas");
      const values = weights(i, j);
      canvas.width = kind.columns.length;
      canvas.height = kind.rows.length;
      canvas.className = Math.max(canvas.width, canvas.height) > 64 ? "fine" : "";
      paint(canvas, values);
      button.type = "button";
      button.dataset.head = `${i} ${j}`;
      button.append(canvas, j < 0 ? "mean" : `head ${j + 1}`);
      button.ariaLabel = `Layer ${i + 1}, ${name(j)}; ${summary(values)}`;
      button.addEventListener("click", () => choose(i, j, true));
      item.append(button);
      list.append(item);
    }
    parts.push(title, list);
  }
  byId("overview").replaceChildren(...parts);
}

function choose(newLayer, newHead, go) {
  [layer, head] = [newLayer, newHead];
  for (const button of byId("overview").querySelectorAll("button"))
    button.ariaPressed = String(button.dataset.head === `${layer} ${head}`);
  byId("title").textContent = `${kind.name}: layer ${layer + 1}, ${name(head)}`;
  byId("note").textContent = kind.note;
  drawMap();
  if (go && byId("view").getBoundingClientRect().width < 900) byId("chosen").scrollIntoView({block: "start"});
}

function label(piece, scope) {
  const head = document.createElement("th"), text = document.createElement("span");
  head.scope = scope;
  text.dir = "auto";
  text.textContent = shown(piece);
  head.title = text.textContent;
  head.append(text);
  return head;
}

function drawMap() {
  const values = weights(layer, head), n = kind.columns.length;
  const table = document.createElement("table"), top = table.createTHead().insertRow(), body = table.createTBody();
  top.append(document.createElement("td"));
  columnHeads = kind.columns.map(piece => label(piece, "col"));
  top.append(...columnHeads);
  rowHeads = [];
  cells = kind.rows.map((piece, i) => {
    const row = body.insertRow();
    rowHeads.push(label(piece, "row"));
    row.append(rowHeads[i]);
    return kind.columns.map((_, j) => {
      const cell = row.insertCell(), value = values[i * n + j], [red, green, blue] = colour(value);
      cell.style.backgroundColor = `rgb(${red} ${green} ${blue})`;
      cell.style.color = 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#111" : "#fff";
      if (value >= 0.05) cell.textContent = Math.round(100 * value);
      return cell;
    });
  });
  byId("map").replaceChildren(table);
  at = [Math.min(at[0], kind.rows.length - 1), Math.min(at[1], n - 1)];
  read(...at);
}

function read(i, j) {
  for (const each of [cells[at[0]]?.[at[1]], rowHeads[at[0]], columnHeads[at[1]]]) each?.classList.remove("at");
  at = [i, j];
  for (const each of [cells[i][j], rowHeads[i], columnHeads[j]]) each.classList.add("at");
  const strong = document.createElement("strong");
  strong.textContent = percent(weights(layer, head)[i * kind.columns.length + j]);
  const words = [kind.rows[i], kind.columns[j]].map(piece => {
    const text = document.createElement("bdi");
    text.textContent = `\u201c${shown(piece)}\u201d`;
    return text;
  });
  byId("readout").replaceChildren(strong, " of what ", words[0], ` (${i + 1}) takes comes from `, words[1], ` (${j + 1})`);
}

/* One listener for all cells, of which there may be tens of thousands. */
function point(event) {
  const cell = event.target.closest("tbody td");
  if (cell) read(cell.parentNode.sectionRowIndex, cell.cellIndex - 1);
}
byId("map").addEventListener("pointerover", point);
byId("map").addEventListener("click", point);

byId("map").addEventListener("keydown", event => {
  const last = [kind.rows.length - 1, kind.columns.length - 1], [i, j] = at;
  const next = {ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], Home: [i, 0], End: [i, last[1]]}[event.key];
  if (!next || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  read(...next.map((value, axis) => Math.min(Math.max(value, 0), last[axis])));
  cells[at[0]][at[1]].scrollIntoView({block: "nearest", inline: "nearest"});
});

function start() {
  const options = [["all", "all"], ...[...Array(kind.layers).keys()].map(i => [i, i + 1])].map(([value, text]) => new Option(text, value));
  byId("layers").replaceChildren(...options);
  drawOverview();
  choose(kind.layers - 1, kind.heads > 1 ? -1 : 0, false);
}

function redraw() {
  drawOverview();
  choose(layer, head, false);
  paint(byId("scale"), Float32Array.from({length: 160}, (_, i) => i / 159));
}

byId("controls").addEventListener("submit", event => event.preventDefault());
for (const input of document.querySelectorAll("input[name=kind]"))
  input.addEventListener("change", () => { kind = data.kinds[Number(input.value)]; start(); });
byId("layers").addEventListener("change", () => {
  drawOverview();
  const chosen = byId("layers").value;
  choose(chosen === "all" ? layer : Number(chosen), head, false);
});
dark.addEventListener("change", redraw);
byId("controls").hidden = byId("view").hidden = false;
for (const input of document.querySelectorAll("input[name=kind]")) if (input.checked) kind = data.kinds[Number(input.value)];
start();
redraw();

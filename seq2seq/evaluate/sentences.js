/* The lines of a test set: which ones, in what order, and how each is shown. The form holds all that is chosen. */
const AT_ONCE = 50; // lines that are shown, and shown more
const LONG = 2000; // characters, from which on a text is folded
const form = document.getElementById("controls"), list = document.getElementById("lines");
const fields = form.elements;
const count = new Intl.NumberFormat("en-US");
let rows = [], shownRows = 0;

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function marker(system) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", `marker k${system % 10}`);
  svg.setAttribute("viewBox", "-6 -6 12 12");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#mark-${(system + Math.floor(system / 10)) % 10}`);
  svg.append(use);
  return svg;
}

const testNumber = () => Number(fields.test?.value ?? 0);
const test = () => data.tests[testNumber()];
const boxes = name => [...form.querySelectorAll(`input[name=${name}]`)];
const shownSystems = () => data.names.length === 1 ? [0] : boxes("show").filter(box => box.checked).map(box => Number(box.value));

/* A translation that an earlier system has too is kept once. */
function translation(system, row) {
  const text = test().systems[system][row];
  return typeof text === "number" ? test().systems[text][row] : text;
}

function errorSet(system, kind) {
  const of = test();
  of.errorSets ??= of.errors.map(found => Object.fromEntries(Object.entries(found).map(([name, lines]) => [name, new Set(lines)])));
  return of.errorSets[system][kind] ?? new Set();
}

function searchText(row) {
  const of = test();
  of.lower ??= [];
  return of.lower[row] ??= [of.source?.[row] ?? "", ...of.references.map(lines => lines[row]), ...data.names.map((_, k) => translation(k, row))]
    .join("\n").toLowerCase();
}

function chosenRows() {
  const of = test(), systems = shownSystems(), tests = [];
  const text = fields.text.value.toLowerCase(), kind = fields.error.value, line = Number(fields.line.value);
  if (line) tests.push(row => row === line - 1);
  if (kind) {
    const by = fields.by?.value ? [Number(fields.by.value)] : systems;
    tests.push(row => by.some(system => errorSet(system, kind).has(row)));
  }
  for (const select of form.querySelectorAll("select[name=group]")) {
    if (!select.value) continue;
    const wanted = new Set(groupOf(select.value).rows);
    tests.push(row => wanted.has(row));
  }
  if (fields.differ?.checked) tests.push(row => systems.some(system => translation(system, row) !== translation(systems[0], row)));
  if (text) tests.push(row => searchText(row).includes(text));
  const found = of.references[0].map((_, row) => row).filter(row => tests.every(passes => passes(row)));
  return sorted(found, of);
}

function groupOf(value) {
  const [title, label] = [value.slice(0, value.indexOf(":")), value.slice(value.indexOf(":") + 1)];
  return test().groups.find(each => each.title === title).groups.find(each => each.label === label);
}

function sorted(found, of) {
  const first = Number(fields.of.value), second = Number(fields.over.value), sign = fields.down.checked ? -1 : 1;
  const key = {
    line: row => row,
    chrf: row => of.chrf[first][row],
    difference: row => of.chrf[first][row] - of.chrf[second][row],
    length: row => of.lengths[row],
  }[fields.sort.value];
  return found.sort((a, b) => sign * (key(a) - key(b)) || a - b);
}

/* Shows from the first chosen line on. */
function update() {
  rows = chosenRows();
  shownRows = 0;
  list.replaceChildren();
  hideWhatIsNotUsed();
  showMore();
}

function hideWhatIsNotUsed() {
  const by = fields.sort.value, one = data.names.length === 1;
  fields.of.parentNode.hidden = one || !["chrf", "difference"].includes(by);
  fields.over.parentNode.hidden = by !== "difference";
  if (fields.by) fields.by.parentNode.hidden = !fields.error.value;
  fields.missing.parentNode.hidden = fields.compare.value === "none";
}

function showMore() {
  const next = rows.slice(shownRows, shownRows + AT_ONCE).map(lineItem);
  list.append(...next);
  shownRows += next.length;
  const more = document.getElementById("more"), left = rows.length - shownRows;
  more.hidden = !left;
  more.textContent = `Show ${count.format(Math.min(left, AT_ONCE))} more of ${count.format(left)}`;
  announce();
  return next[0];
}

function announce() {
  const all = test().references[0].length;
  let told = `${count.format(rows.length)} of ${count.format(all)} lines`;
  if (shownRows < rows.length) told += `, ${count.format(shownRows)} of them shown`;
  if (fields.sort.value === "difference") {
    const [a, b] = [Number(fields.of.value), Number(fields.over.value)], {chrf} = test();
    const better = rows.filter(row => chrf[a][row] > chrf[b][row]).length, worse = rows.filter(row => chrf[a][row] < chrf[b][row]).length;
    told += `; by chrF ${data.names[a]} is better than ${data.names[b]} on ${count.format(better)} and worse on ${count.format(worse)}`;
  }
  document.getElementById("status").textContent = `${told}.`;
}

function lineItem(row) {
  const of = test(), item = make("li", "example"), title = make("h3"), link = make("a", "", `Line ${count.format(row + 1)}`);
  link.href = `#sentences&test=${testNumber()}&line=${row + 1}`;
  title.append(link, ` \u00b7 ${count.format(of.lengths[row])} words`);
  const parts = make("dl");
  if (of.source) parts.append(part("Source", ...textOf(of.source[row])));
  of.references.forEach((lines, i) => parts.append(part(of.references.length > 1 ? `Reference ${i + 1}` : "Reference", ...textOf(lines[row]))));
  parts.append(...shownSystems().map(system => systemPart(system, row)));
  item.append(title, parts);
  item.tabIndex = -1;
  return item;
}

function part(name, ...content) {
  const box = make("div"), value = make("dd");
  box.append(make("dt", "", name), value);
  value.append(...content);
  return box;
}

function systemPart(system, row) {
  const found = marked(system, row), about = aboutTranslation(system, row, found.nearest, found.tooLong);
  const box = part("", ...found.shown, about), name = make("bdi", "", data.names[system]);
  box.className = "system";
  box.firstChild.append(marker(system), " ", name);
  return box;
}

/* A translation with its differences from what it is compared with. */
function marked(system, row) {
  const of = test(), text = translation(system, row), against = fields.compare.value;
  if (against === "none" || Number(against) === system) return {shown: textOf(text)};
  const others = against === "reference" ? of.references.map(lines => lines[row]) : [translation(Number(against), row)];
  const all = others.map(other => differences(other, text));
  if (all.includes(null)) return {shown: textOf(text), tooLong: true};
  const nearest = all.reduce((best, each, i) => each.likeness > all[best].likeness ? i : best, 0);
  return {shown: textOf(text, all[nearest].pieces), nearest: others.length > 1 ? nearest : undefined};
}

/* Elements that show a text, folded if it is long; in pieces, if there are any. */
function textOf(text, pieces = [{kind: "same", text}]) {
  const box = make("span", "text"), missing = fields.missing.checked;
  box.dir = "auto";
  for (const piece of pieces) {
    if (piece.kind === "same") box.append(piece.text);
    else if (piece.kind === "new" || missing) {
      const space = piece.text.slice(0, piece.text.length - piece.text.trimStart().length);
      box.append(space, make(piece.kind === "new" ? "ins" : "del", "", piece.text.trimStart()));
    }
  }
  if (!text) box.append(box.hasChildNodes() && box.textContent ? " " : "", make("span", "soft", "(empty)"));
  return text.length > LONG ? [box, folding(box, text.length)] : [box];
}

function folding(box, length) {
  const button = make("button", "fold");
  const turn = folded => {
    box.classList.toggle("folded", folded);
    button.textContent = folded ? `Show all ${count.format(length)} characters` : "Fold";
    button.ariaExpanded = String(!folded);
  };
  button.type = "button";
  button.addEventListener("click", () => turn(!box.classList.contains("folded")));
  turn(true);
  return button;
}

function aboutTranslation(system, row, nearest, tooLong) {
  const of = test(), about = make("div", "about"), tenths = of.chrf[system][row];
  about.append(make("span", "", `chrF ${(tenths / 10).toFixed(1)}`));
  const other = Number(fields.compare.value);
  if (!Number.isNaN(other) && other !== system) {
    const gain = (tenths - of.chrf[other][row]) / 10;
    about.append(make("span", "", `${gain > 0 ? "+" : gain < 0 ? "\u2212" : "\u00b1"}${Math.abs(gain).toFixed(1)}`));
  }
  for (const [kind, {title, description}] of Object.entries(data.kinds)) {
    if (!errorSet(system, kind).has(row)) continue;
    const flag = make("span", "flag", title);
    flag.title = description;
    about.append(flag);
  }
  if (nearest !== undefined) about.append(make("span", "", `nearest: reference ${nearest + 1}`));
  if (tooLong) about.append(make("span", "", "too long to mark differences"));
  const weights = of.attention[system]?.[row];
  if (weights) about.append(attentionButton(about, of.source[row], translation(system, row), weights));
  else if (weights === null) about.append(make("span", "", "attention left out"));
  return about;
}

function attentionButton(about, source, text, weights) {
  const button = make("button", "", "Attention");
  let map = null;
  button.type = "button";
  button.ariaExpanded = "false";
  button.addEventListener("click", () => {
    if (map) map.remove();
    map = map ? null : attentionMap(source, text, weights);
    if (map) about.after(map);
    button.ariaExpanded = String(map !== null);
  });
  return button;
}

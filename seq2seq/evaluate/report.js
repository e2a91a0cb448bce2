/* What is chosen stands in the address, so that a link leads a colleague to the same lines. */
const DEFAULTS = {test: "0", text: "", error: "", by: "", line: "", sort: "line", of: "0", over: "1", compare: "reference"};
const SWITCHES = ["differ", "down", "missing"];
const TYPING = 150; // milliseconds without a key, after which lines are looked for
const ANCHOR = "#sentences";
const shownAtFirst = boxes("show").filter(box => box.defaultChecked).map(box => box.value);

/* The choices that depend on the test set. */
function fillChoices() {
  const groups = test().groups.map(each => {
    const label = make("label", "stacked", `by ${each.title.toLowerCase()} `), select = make("select");
    select.name = "group";
    select.append(new Option("all", ""), ...each.groups.map(group => new Option(`${group.label} (${count.format(group.rows.length)})`, `${each.title}:${group.label}`)));
    label.append(select);
    return label;
  });
  document.getElementById("groups").replaceChildren(...groups);
  const found = Object.entries(data.kinds).filter(([kind]) => test().errors.some(each => each[kind]?.length));
  const chosen = fields.error.value;
  fields.error.replaceChildren(new Option("any or none", ""), ...found.map(([kind, {title}]) => new Option(title, kind)));
  choose(fields.error, chosen);
}

/* Sets a field, unless it has no such value: links may be older than the report. */
function choose(field, value) {
  if (!field) return;
  field.value = value;
  if (field.value !== value) field.value = DEFAULTS[field.name] ?? "";
}

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(ANCHOR.length + 1));
  choose(fields.test, wanted.get("test") ?? DEFAULTS.test);
  fields.error.value = "";
  fillChoices();
  for (const name of Object.keys(DEFAULTS)) if (name !== "test") choose(fields[name], wanted.get(name) ?? DEFAULTS[name]);
  for (const name of SWITCHES) if (fields[name]) fields[name].checked = wanted.get(name) === "1";
  for (const value of wanted.getAll("group"))
    for (const select of form.querySelectorAll("select[name=group]")) if ([...select.options].some(option => option.value === value)) select.value = value;
  const shown = wanted.has("show") ? wanted.getAll("show") : shownAtFirst;
  for (const box of boxes("show")) box.checked = shown.includes(box.value);
  if (!wanted.has("show")) ["by", "of", "over", "compare"].forEach(showSystem);
}

function writeAddress() {
  const chosen = new URLSearchParams();
  for (const [name, value] of Object.entries(DEFAULTS)) if (fields[name]?.value && fields[name].value !== value) chosen.append(name, fields[name].value);
  for (const name of SWITCHES) if (fields[name]?.checked) chosen.append(name, "1");
  for (const select of form.querySelectorAll("select[name=group]")) if (select.value) chosen.append("group", select.value);
  const shown = boxes("show").filter(box => box.checked).map(box => box.value);
  if (String(shown) !== String(shownAtFirst)) for (const value of shown.length ? shown : [""]) chosen.append("show", value);
  const text = String(chosen);
  // Pages inside of a mail program or another page may not change their address.
  try { history.replaceState(null, "", text ? `${ANCHOR}&${text}` : ANCHOR); } catch {}
}

/* A system that lines are chosen or ordered by is shown. */
function showSystem(name) {
  const used = {by: fields.error.value, of: ["chrf", "difference"].includes(fields.sort.value), over: fields.sort.value === "difference", compare: true}[name];
  const box = used && boxes("show").find(each => each.value === fields[name]?.value);
  if (box) box.checked = true;
}

function follow(address) {
  try { history.pushState(null, "", address); } catch { location.hash = address; }
  arrive();
}

function arrive() {
  readAddress();
  update();
  document.getElementById("sentences").scrollIntoView();
  document.getElementById("sentences-title").focus({preventScroll: true});
}

let waiting = 0;
form.addEventListener("input", event => {
  const {name} = event.target;
  if (name === "test") fillChoices();
  if (["by", "of", "over", "compare", "sort"].includes(name)) (name === "sort" ? ["of", "over"] : [name]).forEach(showSystem);
  clearTimeout(waiting);
  const changed = () => { writeAddress(); update(); };
  if (name === "text") waiting = setTimeout(changed, TYPING);
  else changed();
});
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("reset", event => {
  event.preventDefault();
  const kept = fields.test?.value;
  try { history.replaceState(null, "", kept && kept !== "0" ? `${ANCHOR}&test=${kept}` : ANCHOR); } catch {}
  readAddress();
  update();
});
document.getElementById("more").addEventListener("click", () => showMore()?.focus());
document.addEventListener("click", event => {
  const link = event.target.closest?.(`a[href^="${ANCHOR}&"]`);
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  follow(link.getAttribute("href"));
});
addEventListener("hashchange", () => {
  if (location.hash.startsWith(`${ANCHOR}&`)) arrive();
  else if (location.hash === ANCHOR) writeAddress();
});

form.hidden = false;
readAddress();
update();
if (location.hash.startsWith(`${ANCHOR}&`)) document.getElementById("sentences").scrollIntoView();
performance.mark("ready");

/* Where the words of a translation come from: weights from 0 to 63, a character each, row by row. */
const LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
// The spaces between words are those of the program that aligned them, which differ a little from those of \s.
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const LEAST_TOLD = 10; // percent, of the list in words

const plainWords = text => text.split(SPACES).filter(Boolean);

function attentionMap(source, translation, weights) {
  const columns = plainWords(source), rows = plainWords(translation);
  const percent = [...weights].map(char => Math.round(100 * LEVELS.indexOf(char) / (LEVELS.length - 1)));
  const box = make("div");
  if (percent.length !== rows.length * columns.length) {
    box.textContent = "The attention does not fit the words of this line.";
    return box;
  }
  const scroll = make("div", "map"), table = make("table"), top = table.createTHead().insertRow(), body = table.createTBody();
  Object.assign(scroll, {tabIndex: 0, role: "region", ariaLabel: "Attention: words of the translation in rows, of the source in columns"});
  top.append(make("td"), ...columns.map(word => head(word, "col")));
  rows.forEach((word, i) => {
    const row = body.insertRow();
    row.append(head(word, "row"));
    columns.forEach((from, j) => row.append(weightCell(percent[i * columns.length + j], word, from)));
  });
  scroll.append(table);
  box.append(scroll, listOfLinks(rows, columns, percent));
  return box;
}

function head(word, scope) {
  const cell = make("th"), text = make("span", "", word);
  text.dir = "auto";
  Object.assign(cell, {scope, title: word});
  cell.append(text);
  return cell;
}

function weightCell(value, word, from) {
  const cell = make("td", "", value >= 5 ? value : "");
  cell.style.setProperty("--weight", `${value}%`);
  cell.title = `${word} \u2190 ${from}: ${value} %`;
  return cell;
}

function listOfLinks(rows, columns, percent) {
  const details = make("details"), list = make("ul");
  details.append(make("summary", "", "The same in words"), list);
  rows.forEach((word, i) => {
    const found = columns.map((from, j) => [percent[i * columns.length + j], from]).sort((a, b) => b[0] - a[0]);
    const told = found.filter(([value], place) => place === 0 || value >= LEAST_TOLD).map(([value, from]) => `${from} ${value} %`);
    list.append(make("li", "", `${word} \u2190 ${told.join(", ")}`));
  });
  return details;
}

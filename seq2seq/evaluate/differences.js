/* Word by word differences of two texts: the longest common subsequence of their words. */
const WORD = new RegExp(data.word, "gu");
const MOST_CELLS = 9e6; // of the table that finds it: some 3,000 words on both sides

/* Which words of each side belong to the longest common subsequence; null if the sides are too long. */
function common(a, b) {
  const inA = new Array(a.length).fill(false), inB = new Array(b.length).fill(false);
  let start = 0, endA = a.length, endB = b.length;
  while (start < endA && start < endB && a[start] === b[start]) inA[start] = inB[start++] = true;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) inA[--endA] = inB[--endB] = true;
  const n = endA - start, m = endB - start, width = m + 1;
  if (n * m > MOST_CELLS) return null;
  const longest = new Uint16Array((n + 1) * width); // of what begins at i and j
  for (let i = n - 1; i >= 0; i--)
    for (let j = m - 1; j >= 0; j--)
      longest[i * width + j] = a[start + i] === b[start + j] ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
  for (let i = 0, j = 0; i < n && j < m;) {
    if (a[start + i] === b[start + j]) inA[start + i++] = inB[start + j++] = true;
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i++;
    else j++;
  }
  return [inA, inB];
}

/* A text in pieces: "same", "new" where the other text lacks the words, "missing" where only that one has them. */
function differences(other, text) {
  const sides = [other, text].map(side => side.match(WORD) ?? []), [a, b] = sides;
  const found = common(...sides.map(side => side.map(word => word.trim())));
  if (!found) return null;
  const [inA, inB] = found, pieces = [];
  const add = (kind, word) => {
    if (pieces.at(-1)?.kind === kind) pieces.at(-1).text += word;
    else pieces.push({kind, text: word});
  };
  let shared = 0;
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && !inA[i]) add("missing", a[i++]);
    else if (j < b.length && !inB[j]) add("new", b[j++]);
    else { add("same", b[j++]); i++; shared++; }
  }
  const rest = text.slice(b.join("").length);
  if (rest) add("same", rest);
  const total = a.length + b.length;
  return {pieces, likeness: total ? 2 * shared / total : 1};
}

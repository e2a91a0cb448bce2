// On paper all is unfolded, but for the values of charts.
const closed = [];
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open], .values)")) { each.open = true; closed.push(each); }
});
addEventListener("afterprint", () => { for (const each of closed.splice(0)) each.open = false; });

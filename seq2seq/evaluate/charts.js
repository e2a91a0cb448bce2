// Values of a chart where the pointer is, or where the arrow keys have gone.
for (const plot of document.querySelectorAll(".plot")) {
  const strips = [...plot.querySelectorAll(".hit")];
  const readout = document.createElement("output");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const svg = plot.querySelector("svg");
  let at = strips.length;
  const show = index => {
    at = Math.max(0, Math.min(strips.length - 1, index));
    const strip = strips[at];
    const x = strip.dataset.at, y = Number(strip.getAttribute("y"));
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: y, y2: y + Number(strip.getAttribute("height")) }))
      line.setAttribute(name, value);
    line.setAttribute("class", "cursor");
    readout.textContent = strip.querySelector("title").textContent;
  };
  svg.insertBefore(line, strips[0]);
  readout.textContent = strips[strips.length - 1].querySelector("title").textContent;
  plot.after(readout);
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", plot.dataset.name + ": arrow keys, Home and End read the values");
  plot.addEventListener("pointermove", event => {
    const index = strips.indexOf(event.target);
    if (index >= 0 && index !== at) show(index);
  });
  plot.addEventListener("keydown", event => {
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: strips.length - 1, PageDown: at + 10, PageUp: at - 10 };
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    show(steps[event.key]);
  });
}

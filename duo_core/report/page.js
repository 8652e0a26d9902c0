"use strict";
(() => {
  const { figures, palettes } = JSON.parse(document.getElementById("figures").textContent);
  const darkScreen = matchMedia("screen and (prefers-color-scheme: dark)");
  const property = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Figures come in the light colours; a string that is one of these, whole, becomes its dark counterpart.
  const dark = Object.fromEntries(Object.keys(palettes.light).map((key) => [palettes.light[key], palettes.dark[key]]));
  const recoloured = (value) =>
    Array.isArray(value) ? value.map(recoloured)
    : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, own]) => [key, recoloured(own)]))
    : dark[value] ?? value;

  function template(theme) {
    const [ink, line, paper] = ["ink", "line", "paper"].map((name) => property(`--${theme}-${name}`));
    const axis = { title: { font: { size: 13 } }, gridcolor: line, linecolor: line, tickcolor: line, zerolinecolor: line, ticks: "outside", ticklen: 4 };
    return { layout: {
      font: { family: property("--sans"), size: 13, color: ink },
      paper_bgcolor: paper, plot_bgcolor: paper,
      xaxis: { ...axis, showgrid: false, showline: true, automargin: true },
      yaxis: axis,
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: ink },
    } };
  }

  // Titles in lines that a narrow chart has room for.
  function wrapped(text, width) {
    const lines = [""];
    for (const word of (text ?? "").split(" ")) {
      const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
      if (longer.length * 7.5 > width && lines.at(-1)) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines.join("<br>");
  }
  function fitted(node, data, layout) {
    const room = node.clientWidth - 90;
    for (const title of [layout.xaxis.title, ...data.map((trace) => trace.colorbar?.title)])
      if (title?.text) title.text = wrapped(title.text, room);
    if (layout.hovermode === "x unified") layout.hoverdistance = -1; // curves are thinned: their points may lie far apart
    if (layout.legend2 && room < 400) layout.height += 240; // its columns stand below each other
  }

  function draw(onPaper) {
    const theme = darkScreen.matches && !onPaper ? "dark" : "light";
    for (const node of document.querySelectorAll(".chart")) {
      const { data, layout } = theme === "dark" ? recoloured(figures[node.id]) : structuredClone(figures[node.id]);
      fitted(node, data, layout);
      node.style.height = `${layout.height}px`;
      Object.assign(layout, { template: template(theme), clickmode: "none" }, onPaper ? { width: 660 } : {});
      Plotly.react(node, data, layout, {
        responsive: true,
        displaylogo: false,
        modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
        toImageButtonOptions: { format: "svg", filename: node.id.replace("chart-", "") },
      });
    }
  }
  draw(false);
  for (const query of [darkScreen, matchMedia("(max-width: 36rem)")]) query.addEventListener("change", () => draw(false));

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const node of opened) node.open = true;
    draw(true);
  });
  addEventListener("afterprint", () => {
    for (const node of opened) node.open = false;
    draw(false);
  });
  // A chart in a closed part is drawn without a width.
  for (const node of document.querySelectorAll("details"))
    node.addEventListener("toggle", () => node.querySelectorAll(".chart").forEach((chart) => Plotly.Plots.resize(chart)));

  const value = (cell) => cell.querySelector("data")?.value ?? cell.textContent;
  const field = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  function save(table) {
    const head = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const lines = [head, ...[...table.tBodies[0].rows].map((row) => [...row.cells].map(value))];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = `${table.dataset.name}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function sort(table, place) {
    const head = table.tHead.rows[0].cells[place];
    const falling = head.getAttribute("aria-sort") === "ascending";
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const numeric = head.classList.contains("number");
    const order = (a, b) => {
      const [one, two] = [a, b].map((row) => value(row.cells[place]));
      if (!one || !two) return !one - !two; // what is undefined stands last
      return (falling ? -1 : 1) * (numeric ? one - two : one.localeCompare(two));
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }

  function button(text, action) {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.addEventListener("click", action);
    return made;
  }
  for (const table of document.querySelectorAll("table[data-name]"))
    table.caption.firstElementChild.append(button("Save as CSV", () => save(table)));
  for (const table of document.querySelectorAll("table.sortable"))
    [...table.tHead.rows[0].cells].forEach((cell, place) => cell.replaceChildren(button(cell.textContent, () => sort(table, place))));
})();

// Two metrics against each other, with joint regions and the Pareto front.
"use strict";
(() => {
  const { load, state, keep, make, number, share } = evalkit;
  const plot = document.getElementById("plot"), form = document.getElementById("axes");
  const x = document.getElementById("x"), y = document.getElementById("y"), controls = document.getElementById("withcontrols");
  const points = document.getElementById("points"), said = document.getElementById("said");
  let data = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // Plotly reads its texts as a kind of HTML, links among it.
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  // 95 % of a two-dimensional normal lie within this many standard deviations.
  const REACH = Math.sqrt(5.991464547107979);

  const ellipse = (cx, cy, a, b, c) => {
    const half = (a + c) / 2, apart = Math.sqrt(((a - c) / 2) ** 2 + b * b);
    const long = Math.sqrt(Math.max(0, half + apart)), short = Math.sqrt(Math.max(0, half - apart));
    const angle = 0.5 * Math.atan2(2 * b, a - c);
    const xs = [], ys = [];
    for (let step = 0; step <= 60; step += 1) {
      const t = step / 60 * 2 * Math.PI, u = REACH * long * Math.cos(t), v = REACH * short * Math.sin(t);
      xs.push(cx + u * Math.cos(angle) - v * Math.sin(angle));
      ys.push(cy + u * Math.sin(angle) + v * Math.cos(angle));
    }
    return [xs, ys];
  };

  const front = (runs, first, second) => {
    const better = (p, q, column) => column.direction === "higher" ? p >= q : p <= q;
    const strictly = (p, q, column) => column.direction === "higher" ? p > q : p < q;
    return runs.filter((one) => !runs.some((other) => other !== one && better(other.x, one.x, first) && better(other.y, one.y, second)
      && (strictly(other.x, one.x, first) || strictly(other.y, one.y, second)))).sort((p, q) => p.x - q.x);
  };

  const draw = () => {
    const i = x.selectedIndex, j = y.selectedIndex, first = data.columns[i], second = data.columns[j];
    const runs = data.rows.filter((row) => (row.kind !== "control" || controls.checked) && row.cells[i] && row.cells[j] && row.cells[i].v !== null && row.cells[j].v !== null)
      .map((row) => ({ row, x: row.cells[i].v, y: row.cells[j].v, apart: Boolean(row.other || row.cells[i].x || row.cells[j].x) }));
    const rivals = runs.filter((run) => run.row.kind !== "control" && !run.apart);
    const ink = colour("--ink"), soft = colour("--soft"), line = colour("--line");
    const regions = [], traces = [];
    runs.forEach((run, place) => {
      const cov = run.row.covariance, a = cov[i][i], b = cov[i][j], c = cov[j][j];
      const tone = run.row.kind === "control" ? soft : colour(`--s${place % 5}`);
      if (a !== null && b !== null && c !== null && run.row.kind !== "control") {
        const [xs, ys] = ellipse(run.x, run.y, a, b, c);
        regions.push({ x: xs, y: ys, mode: "lines", line: { color: tone, width: 1.2 }, fill: "toself", fillcolor: `${tone}14`, hoverinfo: "skip", showlegend: false });
      }
      traces.push({
        x: [run.x], y: [run.y], mode: "markers+text", text: [plain(run.row.name.length > 28 ? `${run.row.name.slice(0, 27)}\u2026` : run.row.name)], textposition: "top center", textfont: { color: ink, size: 12 },
        marker: { size: 10, color: tone, symbol: run.row.kind === "control" ? "circle-open" : "circle" }, showlegend: false,
        hovertemplate: `%{x:.${first.decimals}f}, %{y:.${second.decimals}f}<extra></extra>`,
      });
    });
    const best = front(rivals, first, second);
    if (best.length > 1) traces.unshift({ x: best.map((run) => run.x), y: best.map((run) => run.y), mode: "lines", line: { color: ink, width: 1, dash: "dot" }, hoverinfo: "skip", showlegend: false });
    const axis = (column) => ({ title: { text: `${plain(column.label)} ${column.direction === "higher" ? "\u2191" : "\u2193"}` }, gridcolor: line, zeroline: false, linecolor: line, color: soft, automargin: true });
    Plotly.react(plot, [...regions, ...traces], {
      xaxis: axis(first), yaxis: axis(second), paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { t: 20, r: 20, b: 50, l: 60 },
      font: { family: "inherit", color: soft }, hoverlabel: { bgcolor: colour("--raised"), font: { color: ink } }, height: plot.clientHeight - 10,
    }, { displaylogo: false, responsive: true, plotlyServerURL: "", showSendToCloud: false, showEditInChartStudio: false, modeBarButtonsToRemove: ["sendDataToCloud", "editInChartStudio", "select2d", "lasso2d"] });
    const rows = runs.map((run) => make("tr", {}, make("th", { scope: "row" }, run.row.name), make("td", { class: "num" }, number(run.x, first.decimals)), make("td", { class: "num" }, number(run.y, second.decimals)), make("td", {}, best.includes(run) ? "on the front" : run.apart ? "not compared" : "")));
    points.replaceChildren(make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Run"), make("th", { scope: "col", class: "num" }, first.label), make("th", { scope: "col", class: "num" }, second.label), make("th", { scope: "col" }, "Pareto front"))), make("tbody", {}, ...rows));
    keep({ x: first.label, y: second.label, controls: controls.checked ? "" : "0" });
  };

  // Identity across and diversity up where the board has both, else its first two metrics.
  const choose = (select, wanted, otherwise) => {
    const labels = [...select.options].map((option) => option.value);
    const found = wanted.map((name) => labels.indexOf(name)).find((place) => place >= 0);
    select.selectedIndex = found === undefined ? Math.min(otherwise, labels.length - 1) : found;
  };
  const start = async () => {
    try { data = await load(`${plot.dataset.board}/board`); } catch (error) { plot.textContent = error.message; return; }
    const told = state();
    choose(x, [told.get("x"), "vsm", "dino_i", "clip_i", "facesim"], 0);
    choose(y, [told.get("y"), "mtg_nssm", "dino_nssm", "clip_t"], 1);
    controls.checked = told.get("controls") !== "0";
    form.hidden = false;
    for (const control of [x, y, controls]) control.addEventListener("change", draw);
    share(document.getElementById("share"), said);
    document.addEventListener("theme", draw);
    draw();
  };
  start();
})();

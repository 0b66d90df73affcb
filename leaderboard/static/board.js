// The board's table: sort, filter, one category, what is behind a number. Without it the table stands as it is.
"use strict";
(() => {
  const { load, state, keep, make, number, share, later } = evalkit;
  const table = document.getElementById("board");
  const controls = document.getElementById("controls");
  const body = document.getElementById("measured");
  const printed = document.getElementById("printed");
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const said = document.getElementById("said");
  const find = document.getElementById("find"), subjects = document.getElementById("subjects");
  const category = document.getElementById("category"), reported = document.getElementById("reported");
  const kinds = [...controls.querySelectorAll("[name=kind]")];
  const columns = heads.slice(2).map((head) => head.dataset.label);
  let sorted = { place: -1, down: true };
  const rest = document.getElementById("rest"), all = rest.querySelector("button");
  let data = null, order = rows, whole = false, turn = 0;
  const AT_ONCE = 10, MOST = 50;

  const text = new Map(rows.map((row) => [row, row.cells[0].textContent.toLowerCase()]));
  const values = new Map();
  const read = (cell) => { const found = parseFloat((cell.querySelector("b") || cell).textContent.replace("\u2212", "-")); return Number.isNaN(found) ? null : found; };
  const remember = () => { for (const row of rows) values.set(row, [...row.cells].slice(1).map(read)); };
  remember();

  const sort = (place, down) => {
    sorted = { place, down };
    const sign = down ? -1 : 1;
    const by = place === 0
      ? (a, b) => sign * text.get(a).localeCompare(text.get(b))
      : (a, b) => {
          const x = values.get(a)[place - 1], y = values.get(b)[place - 1];
          if (x === null || y === null) return (x === null) - (y === null);
          return sign * (x - y);
        };
    order = [...rows].sort(by);
    table.parentElement.scrollTop = 0;
    arrange();
    heads.forEach((head, index) => {
      if (index === place) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      const arrow = head.querySelector(".sort span");
      if (arrow) arrow.textContent = index === place ? (down ? "\u25bc" : "\u25b2") : "";
    });
  };

  const wanted = () => {
    const part = find.value.trim().toLowerCase();
    const least = Number(subjects.value) || 0;
    const shown = new Set(kinds.filter((box) => box.checked).map((box) => box.value));
    return order.filter((row) => shown.has(row.dataset.kind) && Number(row.dataset.subjects) >= least && text.get(row).includes(part));
  };

  // Two hundred rows of twenty metrics take longer to lay out than a reader waits: the rows that fit the screen come at once,
  // more in the frames that follow, and those after the first fifty when they are asked for.
  const arrange = () => {
    const found = wanted(), coming = whole ? [...found] : found.slice(0, MOST), mine = ++turn;
    const more = () => {
      if (mine !== turn || !coming.length) return;
      body.append(...coming.splice(0, AT_ONCE));
      requestAnimationFrame(() => setTimeout(more));
    };
    said.textContent = found.length === rows.length ? "" : `${found.length} of ${rows.length} runs`;
    rest.hidden = found.length === coming.length;
    rest.firstElementChild.textContent = `The first ${MOST} of ${found.length} runs.`;
    body.replaceChildren();
    more();
    reach();
  };

  const filter = () => {
    arrange();
    if (!printed) return;
    const part = find.value.trim().toLowerCase();
    printed.classList.toggle("on", reported.checked);
    for (const row of printed.rows) row.hidden = !row.textContent.toLowerCase().includes(part);
  };

  const draw = (svg, cell, span) => {
    const place = (value) => (2 + 60 * Math.min(1, Math.max(0, (value - span[0]) / (span[1] - span[0] || 1)))).toFixed(1);
    if (cell.v === null) return;
    const line = cell.l === null || cell.h === null ? "" : `M${place(cell.l)} 4H${place(cell.h)}`;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", `${line}M${(place(cell.v) - 1.7).toFixed(1)} 4a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0`);
    svg.append(path);
  };

  const original = new Map(rows.map((row) => [row, [...row.cells].slice(2).map((cell) => [...cell.childNodes].map((node) => node.cloneNode(true)))]));
  const show = async (name) => {
    if (!name) {
      for (const row of rows) [...row.cells].slice(2).forEach((cell, index) => cell.replaceChildren(...original.get(row)[index].map((node) => node.cloneNode(true))));
      remember();
      return;
    }
    data = await load(`${table.dataset.board}/board`);
    const bySlug = new Map(data.rows.map((row) => [row.slug, row]));
    columns.forEach((label, index) => {
      const cells = data.rows.map((row) => row.by[name] && row.by[name][index]);
      const held = cells.filter((cell, at) => cell && cell.v !== null && data.rows[at].kind !== "control");
      const ends = (held.length > 1 ? held : cells.filter((cell) => cell && cell.v !== null)).flatMap((cell) => [cell.v, cell.l, cell.h]).filter((value) => value !== null);
      const low = Math.min(...ends), high = Math.max(...ends), room = 0.04 * (high - low) || 0.5;
      for (const row of rows) {
        const cell = (bySlug.get(row.dataset.slug).by[name] || [])[index];
        const there = row.cells[index + 2];
        if (!cell) { there.replaceChildren("\u00b7"); continue; }
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        svg.setAttribute("class", "iv");
        svg.setAttribute("viewBox", "0 0 64 8");
        draw(svg, cell, [low - room, high + room]);
        const foot = make("i");
        if (cell.d) foot.append(make("abbr", { class: "dom", title: "in-domain: the method was trained on this metric's family" }, "in-domain"), " ");
        if (cell.n < cell.m) foot.append(make("u", { title: "scored of the category's" }, `${cell.n}/${cell.m}`));
        if (cell.m === 0) there.replaceChildren(make("b", {}, "\u2013"), svg, make("i", {}, "not asked"));
        else there.replaceChildren(make("b", {}, number(cell.v, data.columns[index].decimals)), svg, foot);
      }
    });
    remember();
  };

  const dialog = document.getElementById("detail");
  const explain = async (cell) => {
    const row = cell.parentElement, index = cell.cellIndex - 2;
    if (index < 0 || !row.dataset.slug) return;
    data = data || await load(`${table.dataset.board}/board`);
    const told = data.rows.find((one) => one.slug === row.dataset.slug);
    const column = data.columns[index];
    const chosen = category && category.value;
    const found = chosen ? (told.by[chosen] || [])[index] : told.cells[index];
    document.getElementById("detail-title").textContent = `${told.name}, ${column.label}${chosen ? `, ${chosen}` : ""}`;
    const list = make("dl");
    const say = (name, value) => list.append(make("dt", {}, name), make("dd", {}, value));
    say("Means", column.meaning);
    if (!found) say("Value", "this run was not asked for it");
    else {
      say("Value", `${number(found.v, column.decimals + 1)} (${column.unit}; ${column.direction} is better)`);
      if (found.l !== null) say("95 % interval", `${number(found.l, column.decimals + 1)} to ${number(found.h, column.decimals + 1)}`);
      say("Samples with a value", `${found.n} of ${found.m}`);
      for (const [name, count] of Object.entries(found.s || {})) say(name.replaceAll("_", " "), String(count));
      if (found.r) say("Ranks it may have", found.r[0] === found.r[1] ? String(found.r[0]) : `${Math.min(...found.r)} to ${Math.max(...found.r)}`);
      if (found.g) say("Cannot be told from", `runs that share a letter: ${found.g}`);
      if (found.d) say("In-domain", "the method was trained on this metric's family");
      if (found.c) say("Above the real images", "more like the reference than other true pictures of the subject: look for copying");
      if (found.x) say("Not compared", found.x);
    }
    say("Signature", column.signature.replaceAll("|", " | "));
    const link = make("a", { href: `cases.html#runs=${encodeURIComponent(told.slug)}&metric=${encodeURIComponent(column.label)}&order=worst` }, "its cases, worst first");
    say("Pictures", link);
    document.getElementById("detail-body").replaceChildren(list);
    dialog.showModal();
  };

  let here = null;
  const focus = (cell) => { if (!cell) return; if (here) here.tabIndex = -1; here = cell; here.tabIndex = 0; here.focus(); };
  // The one cell that the Tab key reaches is always among those shown.
  const reach = () => {
    if (here && here.isConnected) return;
    if (here) here.tabIndex = -1;
    here = (body.rows[0] && body.rows[0].cells[2]) || null;
    if (here) here.tabIndex = 0;
  };
  for (const row of rows) for (const cell of [...row.cells].slice(2)) cell.tabIndex = -1;
  body.addEventListener("click", (event) => { const cell = event.target.closest("td"); if (cell && !event.target.closest("a")) { focus(cell.cellIndex > 1 ? cell : null); explain(cell); } });
  body.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    if (!cell || cell.cellIndex < 2) return;
    const seen = [...body.rows], at = seen.indexOf(cell.parentElement);
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    if (event.key in moves) {
      const [down, right] = moves[event.key];
      const row = seen[at + down];
      const place = cell.cellIndex + right;
      if (row && place >= 2 && place < row.cells.length) { event.preventDefault(); focus(row.cells[place]); }
    } else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); explain(cell); }
  });

  const remembered = () => ({
    find: find.value.trim(), category: category ? category.value : "", least: Number(subjects.value) || "",
    without: kinds.filter((box) => !box.checked).map((box) => box.value).join(","), reported: reported && reported.checked ? "1" : "",
    sort: sorted.place < 0 ? "" : `${sorted.place === 0 ? "run" : sorted.place === 1 ? "subjects" : columns[sorted.place - 2]}:${sorted.down ? "down" : "up"}`,
  });
  const update = later(() => { filter(); keep(remembered()); });

  heads.forEach((head, place) => {
    const name = place === 0 ? "Run" : place === 1 ? "Subjects" : head.dataset.label;
    const button = make("button", { type: "button", class: "sort", "aria-label": `Sort by ${name}` }, place < 2 ? name : "sort", " ", make("span", { "aria-hidden": "true" }));
    button.addEventListener("click", () => { sort(place, sorted.place === place ? !sorted.down : head.dataset.direction !== "lower" && place !== 0); keep(remembered()); });
    if (place < 2) head.replaceChildren(button); else head.append(make("br"), button);
  });
  for (const control of [find, subjects]) control.addEventListener("input", update);
  for (const control of [...kinds, reported].filter(Boolean)) control.addEventListener("change", update);
  if (category) category.addEventListener("change", async () => {
    try { await show(category.value); } catch (error) { said.textContent = error.message; return; }
    if (sorted.place >= 0) sort(sorted.place, sorted.down);
    keep(remembered());
  });
  all.addEventListener("click", () => { whole = true; arrange(); table.parentElement.focus({ preventScroll: true }); });
  addEventListener("beforeprint", () => { turn += 1; body.replaceChildren(...wanted()); });
  addEventListener("afterprint", arrange);
  share(document.getElementById("share"), said);

  const start = async () => {
    const told = state();
    find.value = told.get("find") || "";
    subjects.value = told.get("least") || "0";
    const without = (told.get("without") || "").split(",");
    for (const box of kinds) box.checked = !without.includes(box.value);
    if (reported) reported.checked = told.get("reported") === "1";
    if (category && [...category.options].some((option) => option.value === told.get("category"))) { category.value = told.get("category"); await show(category.value); }
    else if (category && category.value) { category.value = ""; await show(""); }
    const [name, way] = (told.get("sort") || "").split(/:(?=[^:]*$)/);
    const place = ["run", "subjects", ...columns].indexOf(name);
    if (place >= 0) sort(place, way !== "up");
    filter();
    controls.hidden = false;
    document.getElementById("hint").hidden = false;
  };
  addEventListener("hashchange", start);
  start();
})();

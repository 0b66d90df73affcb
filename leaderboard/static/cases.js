// Cases side by side: references, prompt, the chosen runs' samples and their scores.
"use strict";
(() => {
  const { load, state, keep, make, number, share, later, root } = evalkit;
  const PAGE = 12;
  const place = document.getElementById("cases"), slug = place.dataset.board, video = place.dataset.medium === "video";
  const controls = document.getElementById("controls"), said = document.getElementById("said");
  const boxes = [...controls.querySelectorAll("[name=run]")];
  const metric = document.getElementById("metric"), order = document.getElementById("order"), find = document.getElementById("find");
  const category = document.getElementById("category"), pager = document.getElementById("pager");
  let board = null, cases = [], page = 0, shown = [];
  const runs = new Map();

  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const mean = (run, label, index) => {
    const scores = run.scores[label];
    if (!scores) return null;
    const held = run.seeds.map((_, seed) => scores[index * run.seeds.length + seed]).filter((value) => typeof value === "number");
    return held.length ? held.reduce((sum, value) => sum + value, 0) / held.length : null;
  };

  const arrange = () => {
    const wanted = find.value.trim().toLowerCase(), names = chosen(), label = metric.value;
    const column = board.columns[metric.selectedIndex], sign = column.direction === "higher" ? 1 : -1;
    shown = cases.map((one, index) => ({ one, index })).filter(({ one }) => (!category || !category.value || one.category === category.value)
      && (!wanted || `${one.prompt} ${one.subject} ${one.id}`.toLowerCase().includes(wanted)));
    const first = runs.get(names[0]), second = runs.get(names[1]);
    const by = { difference: ({ index }) => { const a = first && mean(first, label, index), b = second && mean(second, label, index); return a === null || b === null || a === undefined || b === undefined ? null : -Math.abs(a - b); },
      best: ({ index }) => { const a = first ? mean(first, label, index) : null; return a === null ? null : -sign * a; },
      worst: ({ index }) => { const a = first ? mean(first, label, index) : null; return a === null ? null : sign * a; } }[order.value];
    if (by) {
      const keys = new Map(shown.map((item) => [item, by(item)]));
      shown.sort((p, q) => { const a = keys.get(p), b = keys.get(q); return a === null || b === null ? (a === null) - (b === null) : a - b; });
    }
  };

  const media = (run, at, text) => {
    const answer = run.answers[at];
    if (answer !== undefined) return make("p", { class: "answer" }, answer || "(an empty answer)");
    const small = run.small[at], full = run.full && run.full[at];
    if (!small && !full) return make("p", { class: "gone" }, run.why[at] ? `no sample: ${run.why[at]}` : "picture not at hand");
    if (video && full) {
      const made = make("video", { src: root + full, poster: small ? root + small : null, controls: "", loop: "", preload: "none", playsinline: "", "aria-label": text });
      made.muted = true;
      return made;
    }
    const picture = make("img", { src: root + (small || full), alt: text, loading: "lazy" });
    return full ? make("a", { href: root + full }, picture) : picture;
  };

  const figure = (name, run, index, label) => {
    const row = board.rows.find((one) => one.slug === name);
    const made = make("figure");
    run.seeds.forEach((seed, turn) => {
      const at = index * run.seeds.length + turn;
      made.append(media(run, at, `${row.name}, seed ${seed}: ${cases[index].prompt}`));
      const list = make("dl");
      board.columns.forEach((column) => {
        const value = run.scores[column.label] && run.scores[column.label][at];
        if (value === null || value === undefined) return;
        const on = column.label === label ? "on" : null;
        list.append(make("dt", { class: on }, column.label), make("dd", { class: on }, typeof value === "number" ? number(value, column.decimals) : value.replaceAll("_", " ")));
      });
      made.append(list);
    });
    made.prepend(make("figcaption", {}, row.name));
    return made;
  };

  const inStep = (block) => {
    const all = () => [...block.querySelectorAll("video")];
    for (const one of all()) {
      one.addEventListener("play", () => { for (const other of all()) if (other !== one && other.paused) { other.currentTime = one.currentTime; other.play(); } });
      one.addEventListener("pause", () => { for (const other of all()) if (other !== one && !other.paused) other.pause(); });
      one.addEventListener("seeked", () => { for (const other of all()) if (other !== one && Math.abs(other.currentTime - one.currentTime) > 0.1) other.currentTime = one.currentTime; });
    }
  };

  const draw = () => {
    const names = chosen(), label = metric.value, pages = Math.max(1, Math.ceil(shown.length / PAGE));
    page = Math.min(page, pages - 1);
    const blocks = shown.slice(page * PAGE, (page + 1) * PAGE).map(({ one, index }) => {
      const row = make("div", { class: "row" });
      one.references.forEach((reference, turn) => row.append(make("figure", { class: "reference" }, make("figcaption", {}, `reference${one.references.length > 1 ? ` ${turn + 1}` : ""}: ${reference.label}`),
        reference.picture ? make("img", { src: root + reference.picture, alt: `Reference: ${reference.label}`, loading: "lazy" }) : make("p", { class: "gone" }, "not at hand"))));
      if (one.expected) row.append(make("figure", { class: "reference" }, make("figcaption", {}, "expected"), make("p", { class: "answer" }, one.expected)));
      for (const name of names) if (runs.has(name)) row.append(figure(name, runs.get(name), index, label));
      const block = make("article", { class: "case" }, make("h2", {}, one.prompt), make("p", { class: "mono" }, `${one.id}, ${one.category}`), row);
      if (video) inStep(block);
      return block;
    });
    place.replaceChildren(...blocks);
    if (!blocks.length) place.replaceChildren(make("p", {}, "No case fits."));
    pager.hidden = pages < 2;
    document.getElementById("place").textContent = `${page + 1} of ${pages}`;
    document.getElementById("before").disabled = page === 0;
    document.getElementById("next").disabled = page === pages - 1;
    said.textContent = `${shown.length} cases`;
    keep({ runs: names.join(","), metric: label, order: order.value === "cases" ? "" : order.value, category: category ? category.value : "", find: find.value.trim(), page: page || "" });
  };

  const update = async () => {
    said.textContent = "Loading";
    try {
      await Promise.all(chosen().filter((name) => !runs.has(name)).map(async (name) => runs.set(name, await load(`${slug}/run-${name}`))));
    } catch (error) { said.textContent = error.message; return; }
    arrange();
    draw();
  };
  const anew = () => { page = 0; return update(); };

  const start = async () => {
    try { board = await load(`${slug}/board`); cases = (await load(`${slug}/cases`)).cases; } catch (error) { place.textContent = error.message; return; }
    const told = state(), names = (told.get("runs") || "").split(",").filter(Boolean);
    const first = names.length ? names : boxes.slice(0, 2).map((box) => box.value);
    for (const box of boxes) box.checked = first.includes(box.value);
    const pick = (select, value) => { if (select && [...select.options].some((option) => option.value === value)) select.value = value; };
    pick(metric, told.get("metric"));
    pick(order, told.get("order"));
    pick(category, told.get("category"));
    find.value = told.get("find") || "";
    page = Number(told.get("page")) || 0;
    controls.hidden = false;
    await update();
  };
  for (const control of [...boxes, metric, order, category].filter(Boolean)) control.addEventListener("change", anew);
  find.addEventListener("input", later(anew, 200));
  const turn = (by) => { page += by; draw(); place.scrollIntoView(); };
  document.getElementById("before").addEventListener("click", () => turn(-1));
  document.getElementById("next").addEventListener("click", () => turn(1));
  share(document.getElementById("share"), said);
  start();
})();

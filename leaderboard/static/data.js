// What the other scripts share: data files (scripts that hand over JSON), the address as state, small helpers.
"use strict";
const evalkit = (() => {
  const taken = new Map();
  const waiting = new Map();
  const root = document.body.dataset.root;

  const take = (name, value) => { taken.set(name, value); };

  const load = (name) => {
    if (taken.has(name)) return Promise.resolve(taken.get(name));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = `${root}data/${name}.js`;
        script.onload = () => taken.has(name) ? done(taken.get(name)) : failed(new Error(`${name} is damaged`));
        script.onerror = () => { waiting.delete(name); failed(new Error(`${name} cannot be read`)); };
        document.head.append(script);
      }));
    }
    return waiting.get(name);
  };

  const state = () => new URLSearchParams(location.hash.slice(1));
  const keep = (values) => {
    const told = new URLSearchParams();
    for (const [key, value] of Object.entries(values)) if (value !== "" && value !== null && value !== undefined && value !== false) told.set(key, value);
    const text = told.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };

  const make = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const number = (value, decimals) => {
    if (value === null || value === undefined) return "\u2013";
    const text = value.toFixed(decimals);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
  };

  const share = (button, said) => button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(location.href); said.textContent = "Link copied"; }
    catch { said.textContent = "The address above holds this view"; }
  });

  const later = (work, wait = 120) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(work, wait); }; };

  return { take, load, state, keep, make, number, share, later, root };
})();

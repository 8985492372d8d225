// The page of results: a forest of claims that filters, and rows that can be looked at and sorted.
document.addEventListener("DOMContentLoaded", () => {
  const make = (tag, facts = {}, ...inside) => {
    const node = Object.assign(document.createElement(tag), facts);
    node.append(...inside);
    return node;
  };

  // --- the forest. Differences have many units: the axis is linear up to 0.05, then logarithmic.
  const LINEAR = 0.05, END = Math.asinh(20 / LINEAR), WIDTH = 240, HEIGHT = 22;
  const place = (value) => {
    const t = Math.asinh(Number(value) / LINEAR) / END; // of ±20
    return WIDTH / 2 + Math.max(-1, Math.min(1, t)) * (WIDTH / 2 - 8);
  };
  const interval = (row, least) => {
    const [low, high, middle, a, b] = [row.low, row.high, row.d, -least, least].map(place);
    const filled = row.verdict === "holds" ? "currentColor" : "var(--pst-color-background)";
    const ticks = [-1, -0.1, 0.1, 1].map((x) => `M${place(x)} 8v6`).join("");
    return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
      <rect x="${a}" width="${b - a}" height="${HEIGHT}" fill="currentColor" opacity=".15"/>
      <path d="M${WIDTH / 2} 0V${HEIGHT}${ticks}" stroke="currentColor" opacity=".35"/>
      <path d="M${low} 11H${high}M${low} 7v8M${high} 7v8" stroke="currentColor" stroke-width="1.5"/>
      <circle cx="${middle}" cy="11" r="4.5" fill="${filled}" stroke="currentColor" stroke-width="1.5"/>
      </svg>`;
  };
  const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(3);
  for (const figure of document.querySelectorAll("figure.forest")) {
    const rows = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const list = figure.querySelector("ol"), said = figure.querySelector(".said");
    const [slider] = figure.querySelectorAll("input"), selects = [...figure.querySelectorAll("select")];
    const show = () => {
      const least = LINEAR * Math.sinh((slider.value / slider.max) * Math.asinh(1 / LINEAR));
      const kept = rows.filter((row) => Math.abs(row.d) >= least
        && selects.every((one) => !one.value || row[one.name].includes(one.value)));
      slider.nextElementSibling.value = least.toFixed(3);
      slider.setAttribute("aria-valuetext", least.toFixed(3));
      said.textContent = `${kept.length} of ${rows.length} claims. `;
      list.replaceChildren(...kept.map((row) => {
        const item = make("li", {}, make("span", { textContent: row.says }));
        item.insertAdjacentHTML("beforeend", interval(row, least));
        const numbers = `${signed(row.d)} [${signed(row.low)}, ${signed(row.high)}], ${row.metric}, n = ${row.n}`;
        item.append(make("b", { textContent: row.verdict, title: numbers }));
        item.firstChild.append(make("small", { textContent: ` ${numbers}` }));
        return item;
      }));
    };
    figure.addEventListener("input", show);
    figure.querySelector(".explorable-controls").hidden = false;
    show();
  }

  // --- a sweep's rows, fetched when somebody wants to see them
  const AT_MOST = 300;
  const parse = (text) => [...text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\n\r]*))(,|\r?\n|$)/g)].reduce(
    (lines, [, quoted, plain, end]) => {
      lines.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
      if (end !== ",") lines.push([]);
      return lines;
    }, [[]]).filter((line) => line.length > 1);
  const shown = (cell) => (/^-?\d+\.\d{4,}(e-?\d+)?$/.test(cell) ? String(+Number(cell).toPrecision(3)) : cell);
  const filled = (tag, cell) => (cell.startsWith("data:image/")
    ? make(tag, {}, make("img", { src: cell, alt: "what a run has drawn" }))
    : make(tag, { textContent: shown(cell) }));
  const look = async (link, box) => {
    const [head, ...rows] = parse(await (await fetch(link.href)).text());
    const some = rows.slice(0, AT_MOST);
    const same = (i) => some.length > 1 && some.every((row) => row[i] === some[0][i]);
    const wanted = head.map((_, i) => i).filter((i) => !same(i)); // what is the same in all, says nothing
    const line = (cells, tag) => make("tr", {}, ...wanted.map((i) => filled(tag, cells[i])));
    const table = make("table", { className: "rows" }, make("thead", {}, line(head, "th")),
      make("tbody", {}, ...some.map((row) => line(row, "td"))));
    const words = `${some.length} of ${rows.length} rows, columns that vary; the file has all.`;
    box.replaceChildren(make("p", { textContent: words }), make("div", { className: "rows-box", tabIndex: 0 }, table));
    window.sortable(table);
  };
  if (location.protocol !== "file:") { // which nothing can be fetched from
    for (const link of document.querySelectorAll(".bd-article a.download[href$='.csv']")) {
      const box = make("div"), button = make("button", { type: "button", className: "look", textContent: "look" });
      link.after(" ", button);
      link.closest("p, li").after(box);
      button.addEventListener("click", () => (box.firstChild ? box.replaceChildren() : look(link, box)));
    }
  }
});

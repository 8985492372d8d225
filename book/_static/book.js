// What the theme leaves without a name, a role or a way to reach it by keyboard.
document.addEventListener("DOMContentLoaded", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];

  for (const brand of all(".sidebar-primary-item:has(> .navbar-brand)")) {
    brand.role = "navigation";
    brand.ariaLabel = "Home";
  }
  for (const fold of all(".bd-docs-nav summary")) {
    fold.ariaLabel = "Pages of " + fold.closest("li").querySelector("a").textContent;
  }
  // A list of works: its roles are withdrawn ones, and its children none of a list's.
  for (const node of all(".citation-list, .citation")) node.removeAttribute("role");

  // A long name breaks after an underscore.
  for (const node of all(".bd-article :is(h1, h2, h3), .bd-toc a").map((n) => n.firstChild)) {
    if (node?.nodeType !== Node.TEXT_NODE) continue;
    const [first, ...words] = node.data.split("_");
    node.replaceWith(first, ...words.flatMap((word) => ["_", document.createElement("wbr"), word]));
  }

  // What scrolls by itself can be reached by keyboard, and so be scrolled with the arrow keys; it
  // fades out at the side where there is more.
  const juts = (box) => (box.matches("span.math") ? 2 : 1);  // pixels: of an accent, of rounding
  const fade = ({ target }) => {
    const rest = target.scrollWidth - target.clientWidth - target.scrollLeft;
    target.classList.toggle("goes-on", rest > juts(target));
  };
  const reach = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + juts(target)) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
      fade({ target });
    }
  });
  for (const box of all(".bd-article :is(table, .math, pre, .cell_output)")) {
    reach.observe(box);
    box.addEventListener("scroll", fade, { passive: true });
  }

  // A link to a table opens it, if it is folded.
  const unfold = () => {
    if (!/^#[\w-]+$/.test(location.hash)) return;
    const fold = document.querySelector(`details.numbers[data-of="${location.hash.slice(1)}"]`);
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();

  // Print shows what is folded, but for code: a table is of no use closed, plotting code is no loss.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all(".bd-article details:not([open], .hide)");
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => opened.forEach((fold) => { fold.open = false; }));

  // Long tables of one row of heads can be sorted by any of their columns.
  window.sortable = (table) => {
    const key = (row, i) => {
      const text = (row.cells[i]?.textContent ?? "").trim().replace("−", "-");
      return /^[+-]?[\d.]/.test(text) ? Number.parseFloat(text) : text;
    };
    for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
      if (!head.textContent.trim()) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.ariaSort === "ascending";
        for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
        head.ariaSort = down ? "descending" : "ascending";
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const [x, y] = [key(a, i), key(b, i)];
          const order = typeof x === typeof y ? (x > y) - (x < y) : typeof x === "number" ? -1 : 1;
          return down ? -order : order;
        });
        table.tBodies[0].append(...rows);
      });
    }
  };
  for (const table of all(".bd-article table")) {
    const plain = table.tHead?.rows.length === 1 && table.tBodies.length === 1;
    if (plain && table.tBodies[0].rows.length >= 8 && !table.querySelector("[rowspan], [colspan]"))
      window.sortable(table);
  }
});

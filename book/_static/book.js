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

  // What scrolls by itself can be reached by keyboard, and so be scrolled with the arrow keys.
  const reach = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const box of all(".bd-article :is(table, div.math, pre)")) reach.observe(box);
});

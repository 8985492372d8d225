// Each explorable brings this script, which wakes all that are on the page by then. A mark on the
// element, not an attribute: a page saved from the browser must wake again.
(() => {
  const sources = document.querySelectorAll(".explorable > script[type='application/json']");
  for (const source of sources) { // a page may have figures without: JupyterLab's untrusted ones
    const figure = source.parentElement;
    if (figure.awake) continue;
    figure.awake = true;
    const data = JSON.parse(source.textContent);
    const picture = figure.querySelector(".explorable-picture");
    picture.innerHTML = data.frame.join("");
    const moving = picture.querySelector(".explorable-moving");
    const sliders = [...figure.querySelectorAll("input")];
    const show = () => {
      let state = 0;
      sliders.forEach((slider, i) => {
        const text = data.positions[i][slider.value];
        slider.setAttribute("aria-valuetext", text);
        slider.nextElementSibling.value = text;
        state = state * data.positions[i].length + Number(slider.value);
      });
      moving[data.property] = data.pictures[state];
    };
    figure.addEventListener("input", show);
    figure.addEventListener("keydown", (event) => event.stopPropagation()); // to JupyterLab
    figure.querySelector(".explorable-controls").hidden = false;
    show(); // a browser may have kept the sliders' positions from before a reload
  }
})();

"use strict";

// Keeps the page up to date: asks for its live part every few seconds and changes
// what differs, so that focus, selection and what was opened stay as they are.
(() => {
  const every = 3000;
  const patience = 10000;
  const main = document.getElementById("main");
  const pause = document.getElementById("pause");
  const trouble = document.getElementById("trouble");
  let timer = 0;
  let paused = false;
  let asking = false;

  // morph makes `now` what `next` is, in place.
  function morph(now, next) {
    if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) {
      now.replaceWith(next);
      return;
    }
    if (now.nodeType !== Node.ELEMENT_NODE) {
      if (now.data !== next.data) now.data = next.data;
      return;
    }
    morphAttributes(now, next);
    morphChildren(now, next);
  }

  function morphAttributes(now, next) {
    for (const { name, value } of [...next.attributes]) {
      if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
    for (const { name } of [...now.attributes]) {
      const readers = now.nodeName === "DETAILS" && name === "open";
      if (!next.hasAttribute(name) && !readers) now.removeAttribute(name);
    }
  }

  function morphChildren(now, next) {
    const old = [...now.childNodes];
    const fresh = [...next.childNodes];
    fresh.forEach((child, i) => (i < old.length ? morph(old[i], child) : now.append(child)));
    old.slice(fresh.length).forEach((child) => child.remove());
  }

  async function update() {
    if (asking || paused || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch("status/live", { cache: "no-store", signal: AbortSignal.timeout(patience) });
      if (!answer.ok) throw new Error(`the daemon answers ${answer.status}`);
      const next = new DOMParser().parseFromString(`<main>${await answer.text()}</main>`, "text/html").querySelector("main");
      morphChildren(main, next);
      document.title = main.querySelector("[data-title]").dataset.title;
      trouble.hidden = true;
      trouble.textContent = "";
    } catch (error) {
      const why = error instanceof TypeError || error.name === "TimeoutError" ? "the daemon does not answer" : error.message;
      const text = `Not up to date: ${why}. This is its state as of ${main.querySelector("time").textContent}.`;
      if (trouble.textContent !== text) trouble.textContent = text;
      trouble.hidden = false;
    } finally {
      asking = false;
    }
  }

  function schedule() {
    clearInterval(timer);
    if (!paused) timer = setInterval(update, every);
  }

  document.getElementById("again").hidden = true;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on with updates" : "Pause updates";
    schedule();
    update();
  });
  document.addEventListener("visibilitychange", update);
  schedule();
})();

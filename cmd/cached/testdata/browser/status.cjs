"use strict";

// Looks at the status page as people do. Prints one line of JSON for each check:
// {"check": NAME, "problem": TEXT, "" where it is well}.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// zone: its name; blocks: URLs that read a block each; image: to prepare, at daemon;
// hostile: what a block was read for.
const { page: address, daemon, zone, blocks, image, hostile } = JSON.parse(process.argv[3]);
const interval = 3000; // of the page's updates

async function read(n) {
  for (const url of blocks.splice(0, n)) {
    const answer = await fetch(url);
    assert.equal(answer.status, 200, url);
    await answer.arrayBuffer();
  }
}

// open loads the page, with a clock that stands still, and notes what must not be.
async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(10000);
  const page = await context.newPage();
  const problems = [];
  page.live = 0; // requests for the live part
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && problems.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => problems.push(`error: ${e.message}`));
  page.on("requestfailed", (r) => problems.push(`failed: ${r.url()}`));
  page.on("response", (r) => r.status() >= 400 && problems.push(`${r.status()}: ${r.url()}`));
  page.on("request", (r) => {
    if (new URL(r.url()).origin !== new URL(address).origin) problems.push(`elsewhere: ${r.url()}`);
    if (r.url().endsWith("/status/live")) page.live++;
  });
  if (options.javaScriptEnabled !== false) await page.clock.install();
  const answer = await page.goto(address);
  assert.equal(answer.status(), 200);
  page.well = () => assert.deepEqual(problems, []);
  page.problems = problems;
  return page;
}

// update lets the page's clock run until it has updated itself once.
async function update(page) {
  const answered = page.waitForResponse((r) => r.url().endsWith("/status/live"));
  await page.clock.runFor(interval);
  await (await answered).finished();
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => done())));
}

async function violations(page) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.ok(passes.length > 20, `axe looked at ${passes.length} rules only`);
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 200)).slice(0, 3).join(" | ")}`), []);
}

// overflow names what sticks out to the right.
const overflow = (page) =>
  page.evaluate(() => {
    const wide = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll("body *:not(.unseen):not(svg *)")].filter((e) => e.getBoundingClientRect().right > wide + 0.5);
    return { scroll: document.documentElement.scrollWidth - wide, out: out.map((e) => e.outerHTML.slice(0, 120)) };
  });

const checks = {
  async "loads whole, by itself and in order"(browser) {
    const page = await open(browser);
    assert.match(await page.title(), / ready · cached$/);
    for (const name of ["Reads", "Tiers", `Zone ${zone}`, "Prefetch", "Images", "Preparations"]) {
      await page.getByRole("heading", { level: 2, name, exact: true }).waitFor();
    }
    assert.equal(await page.getByRole("table", { name: `Zone ${zone}` }).getByRole("row").count(), 4);
    const levels = await page.$$eval("h1,h2,h3", (all) => all.map((h) => Number(h.tagName[1])));
    levels.forEach((l, i) => assert.ok(i === 0 ? l === 1 : l <= levels[i - 1] + 1, `headings ${levels}`));
    page.well();
  },

  async "names are text"(browser) {
    const page = await open(browser);
    await page.getByRole("rowheader", { name: hostile, exact: true }).waitFor();
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
    assert.equal(await page.locator("main script, main img, main iframe").count(), 0);
    page.well();
  },

  async "updates itself, and what one does stays"(browser) {
    const page = await open(browser);
    const summary = page.locator("summary");
    await summary.click();
    await summary.focus();
    const blocksOf = () => page.getByRole("table", { name: "Since the start" }).textContent();
    const before = await blocksOf();
    const path = await page.locator("path.area.l4").first().getAttribute("d");
    await page.evaluate(() => (document.querySelector("main").loaded = "once"));
    await read(5);
    await update(page);
    assert.notEqual(await blocksOf(), before);
    assert.notEqual(await page.locator("path.area.l4").first().getAttribute("d"), path, "the plot stays");
    assert.equal(await page.evaluate(() => document.querySelector("main").loaded), "once", "it was loaded again");
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "SUMMARY", "the focus is lost");
    assert.ok(await page.locator("details").evaluate((d) => d.open), "what was opened is closed");
    page.well();
  },

  async "shows a preparation from its beginning to its end"(browser) {
    const page = await open(browser);
    await page.getByText("No image was prepared here").waitFor();
    const answer = await fetch(`${daemon}/cached.v1.ImageService/PrepareImage`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ image, scope: "PREPARATION_SCOPE_ALL" }),
    });
    assert.equal(answer.status, 200, await answer.text());
    const row = page.getByRole("table", { name: "Preparations" }).getByRole("row", { name: image });
    for (let n = 0; !(await row.getByText("✓ ready").count()); n++) {
      assert.ok(n < 200, "it never became ready");
      await update(page);
    }
    assert.match(await row.textContent(), /3\.0 MB|2\.9 MiB/);
    page.well();
  },

  async "can be told to stand still"(browser) {
    const page = await open(browser);
    await page.getByRole("button", { name: "Pause updates" }).click();
    await read(1);
    const asked = page.live;
    await page.clock.runFor(20 * interval);
    assert.equal(page.live, asked, "it asks though it was paused");
    await page.getByRole("button", { name: "Go on with updates" }).click();
    await update(page);
    assert.ok(page.live > asked);
    page.well();
  },

  async "says when the daemon does not answer, and when it does again"(browser) {
    const page = await open(browser, { colorScheme: "dark" });
    const trouble = page.locator("#trouble");
    assert.ok(await trouble.isHidden());
    for (const [fail, text] of [[(r) => r.abort(), /the daemon does not answer/], [(r) => r.fulfill({ status: 401, body: "no" }), /answers 401/]]) {
      await page.route("**/status/live", fail);
      await page.clock.runFor(interval);
      await page.waitForFunction((t) => new RegExp(t).test(document.getElementById("trouble").textContent), text.source);
      assert.ok(await trouble.isVisible());
      await page.unroute("**/status/live");
      await update(page);
      await page.waitForFunction(() => document.getElementById("trouble").hidden);
    }
    await page.route("**/status/live", (r) => r.abort());
    await page.clock.runFor(interval);
    await trouble.waitFor();
    await violations(page);
  },

  async "by keyboard alone"(browser) {
    const page = await open(browser);
    const reach = "a[href]:not([hidden]), button:not([hidden]), summary, input, select, [tabindex='0']";
    const want = await page.$$eval(reach, (all) => all.map((e) => e.textContent.trim()));
    const got = [];
    for (let i = 0; i < want.length; i++) {
      await page.keyboard.press("Tab");
      const focus = await page.evaluate(() => {
        const e = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(e);
        const box = e.getBoundingClientRect();
        return { text: e.textContent.trim(), ring: `${outlineStyle} ${outlineWidth}`, seen: box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.height > 0 };
      });
      got.push(focus.text);
      assert.equal(focus.ring, "solid 3px", `no ring around ${focus.text}`);
      assert.ok(focus.seen, `${focus.text} has the focus and is not seen`);
    }
    assert.deepEqual(got, want);
    assert.equal(got[0], "Skip to the state of the node");
    await page.reload();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main", "the first link leads past the others");
    await page.locator("summary").focus();
    await page.keyboard.press("Enter");
    assert.ok(await page.locator("details").evaluate((d) => d.open));
    page.well();
  },

  async "for a screen reader"(browser) {
    const page = await open(browser, { viewport: { width: 360, height: 740 } });
    for (const role of ["banner", "main", "contentinfo"]) assert.equal(await page.getByRole(role).count(), 1, role);
    await page.getByRole("navigation", { name: "Sections" }).waitFor();
    for (const name of [/^Share of the blocks/, /^Bytes that programs read in a second/]) {
      const plot = page.getByRole("img", { name });
      assert.match(await plot.locator("desc").textContent(), /L1 memory .*L4 origin/);
    }
    // What Chromium tells assistive technology, on a phone, where tables are shown as cards.
    const { nodes } = await (await page.context().newCDPSession(page)).send("Accessibility.getFullAXTree");
    const of = (role) => nodes.filter((n) => !n.ignored && n.role?.value === role);
    const tables = of("table").map((n) => n.name?.value);
    for (const name of ["Since the start", "Tiers", `Zone ${zone}`, "Images", "Preparations"]) assert.ok(tables.includes(name), `tables: ${tables}`);
    assert.ok(of("rowheader").some((n) => n.name?.value === hostile));
    assert.ok(of("columnheader").some((n) => n.name?.value === "Hit rate"));
    page.well();
  },

  async "in light, in dark, at a desk and on a phone"(browser) {
    const page = await open(browser);
    await page.locator("summary").click();
    const colours = new Set();
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      colours.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      for (const width of [1280, 768, 360, 320]) {
        await page.setViewportSize({ width, height: 800 });
        assert.deepEqual(await overflow(page), { scroll: 0, out: [] }, `${width} px`);
      }
      await violations(page); // of the smallest, which has all that the others have
    }
    assert.equal(colours.size, 2, "dark looks as light");
    page.well();
  },

  async "without JavaScript"(browser) {
    const page = await open(browser, { javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
    assert.ok((await page.locator("tbody tr").count()) > 8);
    assert.ok(await page.locator("#pause").isHidden());
    const again = page.waitForResponse(address);
    await page.getByRole("link", { name: "Load again" }).click();
    await again;
    page.well();
  },
};

(async () => {
  const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  for (const [check, run] of Object.entries(checks)) {
    let problem = "";
    const began = Date.now();
    await run(browser).catch((e) => (problem = String(e.stack ?? e)));
    for (const context of browser.contexts()) await context.close();
    console.log(JSON.stringify({ check, problem, ms: Date.now() - began }));
  }
  await browser.close();
})().catch((e) => {
  console.error(e);
  process.exit(1);
});

"use strict";

// Takes pictures of a status page: in light and in dark at a desk, and on a phone.

const path = require("node:path");
const { chromium } = require("playwright-core");

const { page: address, dir } = JSON.parse(process.argv[3]);
const shots = {
  "status-light": { viewport: { width: 1200, height: 1500 }, colorScheme: "light" },
  "status-dark": { viewport: { width: 1200, height: 1500 }, colorScheme: "dark" },
  "status-phone": { viewport: { width: 360, height: 1100 }, deviceScaleFactor: 1.5, colorScheme: "light", isMobile: true },
};

(async () => {
  const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  for (const [name, options] of Object.entries(shots)) {
    const page = await browser.newPage(options);
    await page.goto(address);
    await page.screenshot({ path: path.join(dir, `${name}.png`) });
    await page.close();
  }
  await browser.close();
})().catch((e) => {
  console.error(e);
  process.exit(1);
});

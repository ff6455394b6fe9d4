// @ts-check
// Debian's Chromium, driven by playwright-core.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** @import { Page } from "playwright-core" */

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A browser that sees nothing but this machine. */
function options() {
  if (!existsSync(EXECUTABLE)) throw new Error(`no browser at ${EXECUTABLE}; run \`cargo xtask setup\``);
  return {
    executablePath: EXECUTABLE,
    headless: true,
    ignoreDefaultArgs: ["--headless", "--headless=old"],
    args: [
      "--headless=new",
      // Containers run as root, where Chromium's own sandbox does not start.
      "--no-sandbox",
      "--disable-gpu",
      "--allow-loopback-in-peer-connection",
      // Host candidates with addresses: nothing here answers mDNS. And pages that a test made up may reach the server.
      "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      // All pages of a test work at once, as if each were in front.
      "--disable-background-timer-throttling",
      "--disable-backgrounding-occluded-windows",
      "--disable-renderer-backgrounding",
    ],
  };
}

/** Starts a browser. */
export function launch() {
  return chromium.launch(options());
}

/** Starts a browser that can be killed with everything that belongs to it: nothing is left to close its sockets. */
export async function launchDoomed() {
  const server = await chromium.launchServer(options());
  const browser = await chromium.connect(server.wsEndpoint());
  return { browser, kill: () => server.kill() };
}

/** Lets a page die as a tab does whose process is killed: no handlers, no close frames. @param {Page} page */
export async function crash(page) {
  const session = await page.context().newCDPSession(page);
  const crashed = new Promise((resolve) => page.once("crash", resolve));
  session.send("Page.crash").catch(() => {});
  await crashed;
}

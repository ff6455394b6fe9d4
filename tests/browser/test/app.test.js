// @ts-check
// The web app as people use it: from the lobby into a room by keyboard, with others, through trouble and out again.
// Screenshots go to artifacts/, to be looked at.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Proxy } from "../harness/proxy.js";
import { Scene } from "../harness/scene.js";

/** @import { TestContext } from "node:test" */
/** @import { BrowserContextOptions, Page } from "playwright-core" */

const scene = Scene.forFile();

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARTIFACTS = fileURLToPath(new URL("../artifacts/", import.meta.url));
const NARROW = { width: 360, height: 740 };
const WIDE = { width: 1280, height: 800 };

/**
 * A page of the app, as somebody with a fresh browser sees it.
 * @param {TestContext} t
 * @param {string} address
 * @param {BrowserContextOptions} [options]
 */
async function visit(t, address, options) {
  const context = await scene.browser.newContext({ viewport: WIDE, ...options });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  t.after(() => context.close());
  page.on("pageerror", (error) => errors.push(`${address}: ${error.stack}`));
  page.on("console", (message) => {
    // A socket that cannot be opened is written there by the browser, whatever the page does about it.
    const expected = message.text().startsWith("WebSocket connection");
    if (message.type() === "error" && !expected && !probing) errors.push(`${address}: ${message.text()}`);
  });
  await page.goto(address);
  return page;
}

/** What went wrong in pages of this file. @type {string[]} */
const errors = [];
/** Whether a test looks into a page with means that the page's own policy forbids. */
let probing = false;

/** @template T @param {() => Promise<T>} look */
async function probe(look) {
  probing = true;
  try {
    return await look();
  } finally {
    probing = false;
  }
}

afterEach(() => assert.deepEqual(errors.splice(0), [], "errors in pages"));

/**
 * Enters a room as somebody who was sent its link.
 * @param {Page} page
 * @param {string} name
 */
async function enter(page, name) {
  await page.getByTestId("name").fill(name);
  await page.keyboard.press("Enter");
  await page.getByTestId("gate").waitFor({ state: "hidden" });
}

/**
 * Checks a page for what keeps people out: WCAG 2.2 A and AA, and axe's best practices.
 * @param {Page} page
 * @param {string} where
 */
async function assertAccessible(page, where) {
  await page.evaluate(AXE);
  const violations = await probe(() => page.evaluate(async () => {
    const { axe } = /** @type {any} */ (globalThis);
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await axe.run(document, { runOnly: tags });
    return violations.map((/** @type {any} */ violation) =>
      `${violation.id}: ${violation.help}: ${violation.nodes.map((/** @type {any} */ node) => node.html).join(" ")}`);
  }));
  assert.deepEqual(violations, [], where);
}

/** @param {Page} page @param {string} name */
function shoot(page, name) {
  return probe(() => page.screenshot({ path: `${ARTIFACTS}${name}.png`, animations: "disabled" }));
}

/** What the others said, in order. @param {Page} page */
function messages(page) {
  return page.getByTestId("message-text").allInnerTexts();
}

test("from the lobby into a room, to chat and out, without a mouse", async (t) => {
  const room = scene.room();
  const ada = await visit(t, `${scene.server.origin}/`);
  await assertAccessible(ada, "the lobby");
  await shoot(ada, "lobby");
  await ada.getByTestId("name").focus();
  await ada.keyboard.type("Ada");
  await ada.keyboard.press("Tab");
  assert.ok(await ada.getByTestId("room").evaluate((field) => field === document.activeElement), "the room comes after the name");
  await ada.keyboard.press("Control+A");
  await ada.keyboard.type(room);
  await ada.keyboard.press("Enter");
  await ada.waitForURL(scene.server.address(room));
  await ada.getByTestId("status").getByText("Only you so far").waitFor();
  await shoot(ada, "room-alone");

  const bob = await visit(t, scene.server.address(room));
  await assertAccessible(bob, "before the room");
  await shoot(bob, "gate");
  await enter(bob, "Bob");
  const [rust] = await scene.members(t, scene.server.address(room), ["Rusty"]);
  for (const page of [ada, bob]) await page.getByTestId("status").getByText("3 people").waitFor();

  // Who has entered can write at once.
  assert.ok(await bob.getByTestId("composer").evaluate((field) => field === document.activeElement), "the message field has the focus");
  await bob.keyboard.type("Hello Ada");
  await bob.keyboard.press("Shift+Enter");
  await bob.keyboard.type("on two lines");
  await bob.keyboard.press("Enter");
  await ada.getByText("on two lines").waitFor();
  assert.deepEqual(await messages(ada), ["Hello Ada\non two lines"]);
  await rust.log.until("Bob's message", (entries) =>
    entries.find(({ event, data }) => event === "message" && String(data).includes("Hello Ada")));
  await rust.say("hello from the terminal");
  for (const page of [ada, bob]) await page.getByText("hello from the terminal").waitFor();
  // What others say is text, never markup.
  await rust.say("<img src=x onerror=alert(1)>");
  await ada.getByText("<img src=x onerror=alert(1)>").waitFor();
  assert.equal(await ada.locator("img[src=x]").count(), 0);

  assert.deepEqual((await ada.getByTestId("member-name").allInnerTexts()).sort(), ["Ada", "Bob", "Rusty"]);
  assert.match(await ada.getByTestId("links-summary").innerText(), /3/);
  await assertAccessible(ada, "the room");
  await shoot(ada, "room");
  await ada.keyboard.press("Alt+KeyI");
  await ada.getByRole("dialog").getByTestId("share-link").waitFor();
  await assertAccessible(ada, "the invitation");
  await shoot(ada, "invite");
  await ada.keyboard.press("Escape");

  await rust.leave();
  await ada.getByTestId("notice").getByText("Rusty").last().waitFor();
  await ada.getByTestId("status").getByText("2 people").waitFor();
  await ada.getByTestId("leave").focus();
  await ada.keyboard.press("Enter");
  await ada.getByText("You left the room.").waitFor();
  await assertAccessible(ada, "after leaving");
  await bob.getByTestId("status").getByText("Only you so far").waitFor();
});

test("a room is made secret, and its link shared, without a mouse", async (t) => {
  const room = scene.room();
  const ada = await visit(t, `${scene.server.origin}/`);
  await ada.getByTestId("name").fill("Ada");
  await ada.getByTestId("room").fill(room);
  await ada.getByTestId("secret").focus();
  await ada.keyboard.press("Space");
  await ada.getByText("#key=…").waitFor();
  await assertAccessible(ada, "the lobby, with a secret room");
  await shoot(ada, "lobby-secret");
  await ada.keyboard.press("Enter");
  await ada.getByTestId("status").getByText("Secret · Only you so far").waitFor();
  const link = await ada.getByTestId("share-link").first().inputValue();
  assert.match(link, new RegExp(`/${room}#key=[A-Za-z0-9_-]{43}$`));
  assert.equal(ada.url(), link);

  const bob = await visit(t, link);
  await enter(bob, "Bob");
  await bob.getByTestId("status").getByText("Secret · 2 people").waitFor();
  // Skip links and reloads leave the key where it is.
  await bob.locator(".skip").first().focus();
  await bob.keyboard.press("Enter");
  assert.equal(bob.url(), link);
  await bob.reload();
  await bob.getByTestId("status").getByText("Secret · 2 people").waitFor();
  await bob.getByTestId("composer").fill("just between us");
  await bob.keyboard.press("Enter");
  await ada.getByText("just between us").waitFor();

  const eve = await visit(t, scene.server.address(room));
  await enter(eve, "Eve");
  await eve.getByTestId("composer").fill("may I?");
  await eve.keyboard.press("Enter");
  await ada.getByTestId("notice").getByText("What Eve says is not shown").waitFor();
  await ada.getByTestId("composer").fill("no");
  await ada.keyboard.press("Enter");
  await eve.getByTestId("notice").getByText("the link that you opened has no key").waitFor();
  assert.equal(await eve.getByTestId("notice").getByText("has no key").count(), 1);
  assert.deepEqual(await messages(ada), ["just between us", "no"]);
  assert.deepEqual(await messages(eve), ["may I?"]);
  await assertAccessible(eve, "a secret room, without its key");
  await shoot(eve, "secret-without-key");

  // Eve takes the key out of the link that she is sent, and then makes another room secret.
  await eve.goto(link);
  await eve.getByTestId("status").getByText("Secret · 3 people").waitFor();
  const open = await visit(t, scene.server.address(scene.room()));
  await enter(open, "Grace");
  await open.getByTestId("status").getByText("Only you so far").waitFor();
  await open.keyboard.press("Alt+KeyI");
  await assertAccessible(open, "an invitation that may be made secret");
  await shoot(open, "invite-open");
  await open.getByTestId("make-secret").focus();
  await open.keyboard.press("Enter");
  await open.getByTestId("status").getByText("Secret · Only you so far").waitFor();
  await open.keyboard.press("Alt+KeyI");
  await open.getByTestId("invite-secret").waitFor();
  assert.match(await open.locator("#invite-command").innerText(), /^roomful join '.*#key=[A-Za-z0-9_-]{43}'$/);
  await shoot(open, "invite-secret");

  const cut = await visit(t, link.slice(0, -1));
  await cut.getByTestId("name").fill("Cut");
  await cut.keyboard.press("Enter");
  await cut.getByTestId("gate").getByText("This link is cut off.").waitFor();
});

test("the drawing shows whom the others are linked to, members in a terminal too", async (t) => {
  const address = scene.server.address(scene.room());
  const [, edsger] = await scene.members(t, address, ["Grace", "Edsger", "Barbara"]);
  const page = await visit(t, address);
  await enter(page, "Ada");
  const summary = page.getByTestId("links-summary");
  await summary.getByText("Everyone is linked to everyone: 6 links").waitFor();
  assert.equal(await page.getByTestId("topology").locator("path[data-state=open]").count(), 6);
  await page.getByText("Read the drawing as text").click();
  const grace = page.getByTestId("links-words").getByRole("listitem").filter({ hasText: /^Grace: linked to / });
  for (const name of ["you", "Edsger", "Barbara"]) await grace.filter({ hasText: name }).waitFor();

  await edsger.leave();
  await summary.getByText("Everyone is linked to everyone: 3 links").waitFor();
  assert.doesNotMatch(await grace.innerText(), /Edsger/);
});

test("a room of twelve moves, and the drawing shows how", async (t) => {
  const address = scene.server.address(scene.room());
  await scene.members(t, address, ["Grace", "Edsger", "Barbara", "Alan", "Radia", "Ada", "Donald", "Frances", "Ken", "Sophie"]);
  const wide = await visit(t, address);
  const narrow = await visit(t, address, { viewport: NARROW, hasTouch: true, isMobile: true });
  for (const [page, name] of /** @type {const} */ ([[wide, "Tim"], [narrow, "Margaret"]])) await enter(page, name);
  await wide.getByTestId("links-summary").getByText("Everyone is linked to everyone: 66 links").waitFor();
  await narrow.getByTestId("tab-links").click();

  await wide.getByTestId("pin-to").focus();
  await wide.keyboard.press("t");
  assert.equal(await wide.getByTestId("pin-to").inputValue(), "tree");
  await wide.keyboard.press("Tab");
  await wide.keyboard.press("Enter");
  for (const page of [wide, narrow]) {
    await page.getByTestId("notice").getByText("The room is now a tree").waitFor({ state: "attached" });
    // The old links go a while later.
    await page.getByTestId("links-summary").getByText(/^12 members, (1[1-9]|2\d|3[0-6]) links/).waitFor();
    assert.ok((await page.getByTestId("topology").locator(".seat.passes").count()) > 0, "somebody passes on");
  }
  assert.equal(await wide.locator("#topology").innerText(), "tree");

  // By keyboard, and by a tap on a seat.
  await wide.getByTestId("spotlight-of").focus();
  await wide.keyboard.type("Grace");
  const rows = wide.getByTestId("spotlight-links").locator("tbody tr");
  await rows.filter({ hasText: "open" }).filter({ hasText: "direct" }).first().waitFor();
  assert.match(await wide.getByTestId("spotlight-note").innerText(), /^Reaches 11 members (directly|within \d hops; \d+ members? pass(es)? it on)\.$/);
  await narrow.getByTestId("topology").locator(".seat").first().tap();
  await narrow.getByTestId("spotlight-links").locator("tbody tr").first().waitFor();
  const overflow = await narrow.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, "it needs no sideways scrolling");
  for (const [page, name] of /** @type {const} */ ([[wide, "twelve"], [narrow, "twelve-narrow"]])) {
    await assertAccessible(page, name);
    await shoot(page, name);
  }

  await narrow.getByTestId("pin-to").selectOption("star");
  await narrow.getByTestId("pin-go").click();
  // That it is on its way stands there until then, which may be too short to be seen.
  for (const page of [wide, narrow]) await page.getByTestId("notice").getByText("The room is now a star").waitFor({ state: "attached" });
  assert.equal(await narrow.getByTestId("pin-said").innerText(), "");
});

test("narrow, dark, and with many: it stays usable", async (t) => {
  const room = scene.room();
  const address = scene.server.address(room);
  await scene.members(t, address, ["Grace", "Edsger", "Barbara", "Alan", "Radia"]);
  const dark = await visit(t, address, { colorScheme: "dark" });
  await enter(dark, "Ada");
  await dark.getByTestId("status").getByText("6 people").waitFor();
  await assertAccessible(dark, "dark");
  await shoot(dark, "room-dark");

  const narrow = await visit(t, address, { viewport: NARROW, hasTouch: true, isMobile: true });
  await shoot(narrow, "gate-narrow");
  await enter(narrow, "A name of some length that has to fit");
  await narrow.getByTestId("status").getByText("7 people").waitFor();
  const overflow = () => narrow.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  for (const tab of ["chat", "people", "links"]) {
    await narrow.getByTestId(`tab-${tab}`).click();
    assert.equal(await overflow(), 0, `${tab} needs no sideways scrolling`);
    await assertAccessible(narrow, `narrow, ${tab}`);
    await shoot(narrow, `narrow-${tab}`);
  }
  const lobby = await visit(t, `${scene.server.origin}/`, { viewport: NARROW, colorScheme: "dark" });
  await assertAccessible(lobby, "the lobby, narrow and dark");
  await shoot(lobby, "lobby-narrow-dark");
});

test("trouble is told in plain words, and passes by itself where it can", async (t) => {
  const proxy = await Proxy.start(scene.server.port);
  t.after(() => proxy.stop());
  const room = scene.room();
  const [friend] = await scene.members(t, scene.server.address(room), ["Friend"]);
  const page = await visit(t, proxy.address(room));
  await enter(page, "Ada");
  await page.getByTestId("status").getByText("2 people").waitFor();

  proxy.passes = false;
  proxy.cut();
  await page.getByTestId("banner").getByText("The server is out of reach").waitFor();
  await assertAccessible(page, "reconnecting");
  await shoot(page, "reconnecting");
  await friend.say("still here");
  await page.getByText("still here").waitFor();
  proxy.passes = true;
  await page.getByTestId("banner").waitFor({ state: "hidden" });
  await page.getByTestId("status").getByText("2 people").waitFor();

  const nowhere = await visit(t, proxy.address(scene.room()));
  proxy.passes = false;
  await nowhere.getByTestId("name").fill("Ada");
  await nowhere.keyboard.press("Enter");
  await nowhere.getByTestId("gate").getByText("unreachable").waitFor();
  await assertAccessible(nowhere, "no way in");
  await shoot(nowhere, "unreachable");
});

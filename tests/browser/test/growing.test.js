// @ts-check
// A room of pages and Rust members grows from two to many and shrinks again, while everybody talks; it finds by itself how it
// is to be linked, and moves from each topology to each other where somebody asks: nothing is lost, doubled or out of order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Company, Crowd } from "../harness/crowd.js";
import { Page } from "../harness/page.js";
import { Scene, names } from "../harness/scene.js";

/** @import { TestContext } from "node:test" */

const scene = Scene.forFile();

/** How often each says something. */
const EVERY_MS = 500;
const TOPOLOGIES = ["mesh", "small-world", "tree", "star"];

const MANY = 46;

test(`${MANY} Rust members move from each topology to each other while all talk`, async (t) => {
  const { company, crowd } = assemble(t);
  const address = scene.server.address(scene.room());
  await crowd.enter(address, names("rust", 2));
  await company.talk(EVERY_MS);
  await company.grow(crowd, address, names("more rust", MANY - 2));
  await company.settle("small-world");
  await tour(t, company, [crowd], TOPOLOGIES, "small-world");
  assert.ok((await company.audit()).every(({ sent }) => sent > 0), "everybody talked");
});

const RUST_MEMBERS = 40;
const PAGES = 6;
/** How many are no crowd yet: such a room stays a mesh. A mesh of all is more than browsers on two busy cores hold in a minute. */
const FEW = { rust: 8, pages: 4 };

test(`a room of ${RUST_MEMBERS} Rust members and ${PAGES} pages grows, moves and shrinks while all talk`, async (t) => {
  const { company, crowd } = assemble(t);
  const room = scene.room();
  const rust = names("rust", RUST_MEMBERS);
  const pages = await scene.pages(t, names("page", PAGES));
  const admit = async (/** @type {number} */ members, /** @type {number} */ count) => {
    const entering = pages.slice(company.pages.size, company.pages.size + count);
    await company.grow(crowd, scene.server.address(room), rust.splice(0, members));
    await Promise.all(entering.map((page) => page.enter(room, { topology: "auto" }, { book: true })));
    for (const page of entering) company.pages.add(page);
    await company.talk(EVERY_MS);
    const size = company.pages.size + RUST_MEMBERS - rust.length;
    await company.until("everybody is there", (all) => all.length === size && all.every(({ links }) => links.length > 0));
  };

  await admit(1, 1);
  await admit(FEW.rust - 1, FEW.pages - 1);
  assert.ok((await company.reports()).every(({ topology }) => topology === "mesh"), "few are a mesh");
  await tour(t, company, [crowd, pages[0]], TOPOLOGIES, "mesh");
  await crowd.pin("auto");
  await admit(RUST_MEMBERS - FEW.rust, PAGES - FEW.pages);
  const began = Date.now();
  await company.settle("small-world");
  t.diagnostic(`a small world by itself: ${Date.now() - began} ms`);
  await tour(t, company, [pages[0], crowd], TOPOLOGIES.slice(1), "small-world");
  await crowd.pin("auto");
  assert.ok((await company.audit()).every(({ sent }) => sent > 0), "everybody talked");

  await company.talk(EVERY_MS);
  for (const [members, count] of [[RUST_MEMBERS - FEW.rust, PAGES - FEW.pages], [FEW.rust - 1, FEW.pages - 1]]) {
    const leaving = [...company.pages].slice(-count);
    for (const page of leaving) company.pages.delete(page);
    const [left] = await Promise.all([crowd.leave(members), ...leaving.map(leave)]);
    company.left.push(...left, ...(await Promise.all(leaving.map((page) => page.do("report")))));
  }
  await company.settle("mesh");
  assert.equal((await company.audit()).length, 2);
});

/** A crowd, and a company of it alone. @param {TestContext} t */
function assemble(t) {
  const company = new Company();
  const crowd = Crowd.start();
  company.crowds.add(crowd);
  t.after(() => crowd.kill());
  return { company, crowd };
}

/**
 * Moves a room from each topology to each other, and back to the one that it has; those named ask for it in turn.
 * @param {TestContext} t
 * @param {Company} company
 * @param {(Crowd | Page)[]} askers
 * @param {string[]} topologies
 * @param {string} start
 */
async function tour(t, company, askers, topologies, start) {
  for (const [place, topology] of circuit(topologies, start).entries()) {
    const began = Date.now();
    await company.move(topology, askers[place % askers.length]);
    t.diagnostic(`${topology}: ${Date.now() - began} ms`);
  }
}

/** @param {Page} page */
async function leave(page) {
  await page.do("startTalking", null);
  await page.do("leave");
}

/**
 * A way that takes each step from one topology to another once, and ends where it begins (Hierholzer).
 * @param {string[]} topologies
 * @param {string} start
 */
function circuit(topologies, start) {
  const steps = new Map(topologies.map((from) => [from, topologies.filter((to) => to !== from)]));
  /** @type {string[]} */
  const way = [];
  const path = [start];
  while (path.length > 0) {
    const next = steps.get(path[path.length - 1])?.pop();
    if (next === undefined) way.unshift(String(path.pop()));
    else path.push(next);
  }
  assert.equal(way.length, topologies.length * (topologies.length - 1) + 1);
  return way.slice(1);
}

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
/** How often where many are pages: a browser takes some 7 ms of a processor a second for each end of a link that talks more. */
const SELDOM_MS = 1_000;
/** In which nearly all is to be delivered while a room moves (99 of 100). */
const SOON_MS = 500;
/**
 * Whether to go all the way, and to be as strict with rooms of many as with those of few (CONTRIBUTING.md): both take a machine
 * that does nothing else, and more than the two processors of CI.
 */
const IS_ALL = process.env.ROOMFUL_GROWING === "all";
const TOPOLOGIES = ["mesh", "small-world", "tree", "star"];

const MANY = 46;

test(`${MANY} Rust members move from each topology to each other while all talk`, async (t) => {
  const { company, crowd } = assemble(t);
  const address = scene.server.address(scene.room());
  await crowd.enter(address, names("rust", 2));
  await company.talk(EVERY_MS);
  await company.grow(crowd, address, names("more rust", MANY - 2));
  await company.settle("small-world");
  const delays = await tour(t, company, [crowd], TOPOLOGIES, "small-world");
  if (IS_ALL) assertSoon(delays);
  assert.ok((await company.audit()).every(({ sent }) => sent > 0), "everybody talked");
});

const RUST_MEMBERS = 40;
const PAGES = 6;
/** How many are no crowd yet: such a room stays a mesh. */
const FEW = { rust: 8, pages: 4 };
/** How many are too many for a mesh: the room moves by itself before the others come. */
const MORE = { rust: 8, pages: 0 };
/** What all of them move through. A mesh of 40 and 6 pages is 270 connections of one browser, which take it two processors. */
const OF_ALL = IS_ALL ? TOPOLOGIES : TOPOLOGIES.filter((topology) => topology !== "mesh");

test(`a room of ${RUST_MEMBERS} Rust members and ${PAGES} pages grows, moves and shrinks while all talk`, async (t) => {
  const { company, crowd } = assemble(t);
  const room = scene.room();
  const rust = names("rust", RUST_MEMBERS);
  const pages = await scene.pages(t, names("page", PAGES));
  const admit = async (/** @type {number} */ members, /** @type {number} */ count, everyMs = EVERY_MS) => {
    const entering = pages.slice(company.pages.size, company.pages.size + count);
    await company.grow(crowd, scene.server.address(room), rust.splice(0, members));
    await Promise.all(entering.map((page) => page.enter(room, { topology: "auto" }, { book: true })));
    for (const page of entering) company.pages.add(page);
    await company.talk(everyMs);
    const size = company.pages.size + RUST_MEMBERS - rust.length;
    await company.until("everybody is there", (all) => all.length === size && all.every(({ links }) => links.length > 0));
  };

  await admit(1, 1);
  await admit(FEW.rust - 1, FEW.pages - 1);
  assert.ok((await company.reports()).every(({ topology }) => topology === "mesh"), "few are a mesh");
  assertSoon(await tour(t, company, [crowd, pages[0]], TOPOLOGIES, "mesh"));
  await crowd.pin("auto");
  await admit(MORE.rust, MORE.pages, SELDOM_MS);
  const began = Date.now();
  await company.settle("small-world");
  t.diagnostic(`a small world by itself: ${Date.now() - began} ms`);
  await admit(RUST_MEMBERS - FEW.rust - MORE.rust, PAGES - FEW.pages - MORE.pages, SELDOM_MS);
  const delays = await tour(t, company, [pages[0], crowd], OF_ALL, "small-world");
  if (IS_ALL) assertSoon(delays);
  await crowd.pin("auto");
  assert.ok((await company.audit()).every(({ sent }) => sent > 0), "everybody talked");

  await company.talk(SELDOM_MS);
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
 * Moves a room from each topology to each other, and back to the one that it has; those named ask for it in turn. Gives how
 * long deliveries took meanwhile.
 * @param {TestContext} t
 * @param {Company} company
 * @param {(Crowd | Page)[]} askers
 * @param {string[]} topologies
 * @param {string} start
 */
async function tour(t, company, askers, topologies, start) {
  /** @type {number[]} */
  const all = [];
  for (const [place, topology] of circuit(topologies, start).entries()) {
    const began = Date.now();
    await company.move(topology, askers[place % askers.length]);
    const ended = Date.now();
    const delays = await company.delays(began, ended);
    all.push(...delays);
    const at = quantile(delays);
    t.diagnostic(`${topology}: ${ended - began} ms; ${delays.length} deliveries, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
  }
  const at = quantile(all);
  t.diagnostic(`all the way: ${all.length} deliveries, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
  return all;
}

/** @param {number[]} delays of what was delivered while a room moved, in ms */
function assertSoon(delays) {
  const p99 = quantile(delays)(0.99);
  assert.ok(p99 <= SOON_MS, `of 100 messages while the room moved one took ${p99} ms or more`);
}

/** @param {number[]} values @returns {(share: number) => number} what so many of them are at most */
function quantile(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (share) => sorted[Math.floor(sorted.length * share)] ?? Infinity;
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

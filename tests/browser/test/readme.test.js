// @ts-check
// What the README shows works as it stands there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Scene } from "../harness/scene.js";

const scene = Scene.forFile();

test("the README's JavaScript joins, greets and listens", async (t) => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const code = /```js\n([^]*?)```/.exec(readme)?.[1];
  assert.ok(code, "the README has JavaScript");
  const [reader, friend] = await scene.pages(t, ["reader", "Grace"]);
  await friend.enter("standup");
  await reader.page.addScriptTag({ type: "module", content: code });

  const { member } = await friend.log.entry({ event: "memberjoin", name: "Ada" });
  await friend.log.entry({ event: "message", from: member, data: '{"text":"hi"}' });
  await friend.say({ text: "hello Ada" });
  await reader.log.entry({ event: "console", text: "Grace hello Ada" });
  const [late] = await scene.members(t, scene.server.address("standup"), ["Edsger"]);
  await reader.log.entry({ event: "console", text: "Edsger is here" });
  await late.leave();
});

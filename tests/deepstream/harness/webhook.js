// @ts-check
// Whom a server asks about logins: deepstream's `http` way. Users are who know the word; what it answers follows from
// what the client gives.

import { once } from "node:events";
import { createServer } from "node:http";

/** @import { TestContext } from "node:test" */

export class Webhook {
  /** What it was asked. @type {any[]} */
  asked = [];
  /** What it answers everything with, where it is to be out of order. @type {number | undefined} */
  fails;
  address = "";

  /** @param {TestContext} [t] it ends with this test */
  static async start(t) {
    const hook = new Webhook();
    const server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const asked = JSON.parse(body);
      hook.asked.push(asked);
      const { status, answer } = hook.fails === undefined ? judge(asked.authData) : { status: hook.fails, answer: undefined };
      response.writeHead(status, { "content-type": "application/json" });
      response.end(answer === undefined ? "" : JSON.stringify(answer));
    });
    server.listen(0, "127.0.0.1");
    server.unref();
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
    hook.address = `http://127.0.0.1:${address.port}/login`;
    t?.after(() => server.close());
    return hook;
  }
}

/** @param {{ username?: string, word?: string, role?: string }} data */
function judge({ username, word, role }) {
  if (word !== "sesame") return { status: 403, answer: { clientData: { reason: "wrong word" } } };
  return { status: 200, answer: { id: username, serverData: { role }, clientData: { greeting: `hello ${username}` } } };
}

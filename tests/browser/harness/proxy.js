// @ts-check
// A TCP proxy whose connections can be cut without either end closing them.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** @import { Server as TcpServer, Socket } from "node:net" */

export class Proxy {
  /** @type {Set<Socket>} */
  #sockets = new Set();
  /** Whether new connections go through. */
  passes = true;

  /**
   * @param {TcpServer} server
   * @param {number} port
   */
  constructor(server, port) {
    this.server = server;
    this.port = port;
  }

  /** @param {number} target port on 127.0.0.1 */
  static async start(target) {
    const server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
    const proxy = new Proxy(server, address.port);
    server.on("connection", (near) => proxy.#join(near, target));
    return proxy;
  }

  /** @param {string} room */
  address(room) {
    return `http://127.0.0.1:${this.port}/${room}`;
  }

  /**
   * @param {Socket} near
   * @param {number} target
   */
  #join(near, target) {
    if (!this.passes) {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: target, host: "127.0.0.1", noDelay: true });
    for (const [socket, other] of [[near, far], [far, near]]) {
      this.#sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }

  /** Resets every connection in both directions: what a network does, not what a program does. */
  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Ends it with everything that it carries. */
  async stop() {
    this.passes = false;
    this.cut();
    this.server.close();
    await once(this.server, "close");
  }
}

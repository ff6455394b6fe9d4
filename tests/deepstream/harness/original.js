// @ts-check
// deepstream's own server, as `bench/peers/deepstream` has it: `node original.js FOLDER PORT OPTIONS`. Prints its
// address. It has no limits that a test would run into, and speaks text at /deepstream-v3, protobuf at /deepstream.

import { createRequire } from "node:module";

const [folder, port, options] = process.argv.slice(2);
/** @type {import("./server.js").Settings} */
const { webhook, loginTimeoutMs = 180_000, loginAttempts = 3, heartbeatMs = 30_000 } = JSON.parse(options);
const { Deepstream } = createRequire(`${folder}/`)("@deepstream/server");

const endpoint = {
  heartbeatInterval: heartbeatMs,
  outgoingBufferTimeout: 0,
  maxBufferByteSize: 100_000,
  unauthenticatedClientTimeout: loginTimeoutMs,
  maxAuthAttempts: loginAttempts,
  maxMessageSize: 1 << 20,
  logInvalidAuthData: false,
  securityHeaders: false,
};
const http = {
  host: "127.0.0.1",
  port: Number(port),
  healthCheckPath: "/health-check",
  allowAllOrigins: true,
  maxMessageSize: 1 << 20,
  headers: [],
  origins: [],
};
const hook = {
  endpointUrl: webhook,
  permittedStatusCodes: [200],
  requestTimeout: 2_000,
  retryStatusCodes: [],
  retryAttempts: 1,
  retryInterval: 100,
};
const server = new Deepstream({
  showLogo: false,
  logLevel: 3,
  telemetry: { type: "deepstreamIO", options: { enabled: false } },
  httpServer: { type: "default", options: http },
  connectionEndpoints: [
    { type: "ws-text", options: { ...endpoint, urlPath: "/deepstream-v3" } },
    { type: "ws-binary", options: { ...endpoint, urlPath: "/deepstream" } },
  ],
  auth: webhook === undefined ? [{ type: "none", options: {} }] : [{ type: "http", options: hook }],
  permission: { type: "none", options: {} },
});
server.on("started", () => console.log(`listening on ws://127.0.0.1:${port}`));
server.start();
process.on("SIGTERM", () => process.exit(0));

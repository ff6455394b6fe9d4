// deepstream's server with its text endpoint only, open to everybody: `node server.js PORT`. Prints its address.

import { Deepstream } from "@deepstream/server";

const port = Number(process.argv[2]);
const textEndpoint = {
  urlPath: "/deepstream-v3",
  heartbeatInterval: 30_000,
  outgoingBufferTimeout: 0,
  maxBufferByteSize: 100_000,
  unauthenticatedClientTimeout: 180_000,
  maxAuthAttempts: 3,
  maxMessageSize: 1 << 20,
  logInvalidAuthData: false,
  securityHeaders: false,
};
const http = { host: "127.0.0.1", port, healthCheckPath: "/health-check", allowAllOrigins: true, maxMessageSize: 1 << 20, headers: [], origins: [] };
const server = new Deepstream({
  showLogo: false,
  logLevel: 3,
  telemetry: { type: "deepstreamIO", options: { enabled: false } },
  httpServer: { type: "default", options: http },
  connectionEndpoints: [{ type: "ws-text", options: textEndpoint }],
  permission: { type: "none", options: {} },
});
server.on("started", () => console.log(`listening on ws://127.0.0.1:${port}/deepstream-v3`));
server.start();
process.on("SIGTERM", () => process.exit(0));

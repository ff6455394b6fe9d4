// @ts-check
// Serves the page: `node serve.js [PORT]`. Roomful itself runs beside it.

import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const JAVASCRIPT = "text/javascript; charset=utf-8";
const { resolve } = createRequire(import.meta.url);

/** What there is, and nothing else. @type {{ [path: string]: { file: string, type: string } | undefined }} */
const FILES = {
  "/": { file: join(HERE, "index.html"), type: "text/html; charset=utf-8" },
  "/mesh.js": { file: join(HERE, "mesh.js"), type: JAVASCRIPT },
  "/page.js": { file: join(HERE, "page.js"), type: JAVASCRIPT },
  "/deepstream.js": { file: resolve("deepstream.io-client-js/dist/deepstream.js"), type: JAVASCRIPT },
  "/simplepeer.js": { file: resolve("simple-peer/simplepeer.min.js"), type: JAVASCRIPT },
};

const port = Number(process.argv[2] ?? 8100);
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const found = Object.hasOwn(FILES, pathname) ? FILES[pathname] : undefined;
  if (found === undefined || request.method !== "GET") return void response.writeHead(404).end();
  response.writeHead(200, { "content-type": found.type, "cache-control": "no-cache" });
  createReadStream(found.file).pipe(response);
});
server.listen(port, "127.0.0.1", () => {
  console.log(`Open http://127.0.0.1:${port}/ in two windows or more.`);
  console.log("Roomful runs beside it:  roomful serve --dev");
});

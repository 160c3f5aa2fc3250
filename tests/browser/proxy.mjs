/** A proxy that serves a clock under a prefix, as an ingress does. */

import http from "node:http";

/**
 * @param {string} base the clock's address
 * @param {string} prefix without a slash at its end
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export function behind(base, prefix) {
  const { hostname, port } = new URL(base);
  const server = http.createServer((request, response) => {
    if (!request.url?.startsWith(`${prefix}/`)) return void response.writeHead(404).end();
    const path = request.url.slice(prefix.length);
    const { method, headers } = request;
    const passed = http.request({ hostname, port, path, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    request.pipe(passed);
    response.on("close", () => passed.destroy());
  });
  return new Promise((done) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const own = typeof address === "object" ? address?.port : 0;
      done({ url: `http://127.0.0.1:${own}${prefix}/`, close: () => (server.closeAllConnections(), server.close()) });
    });
  });
}

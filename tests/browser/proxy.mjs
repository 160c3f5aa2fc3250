/** A proxy that serves a clock under prefixes, as an ingress does several clocks. */

import http from "node:http";

/**
 * @param {string} base the clock's address
 * @param {...string} prefixes without a slash at their ends
 * @returns {Promise<{ urls: string[], close: () => void }>}
 */
export function behind(base, ...prefixes) {
  const { hostname, port } = new URL(base);
  const server = http.createServer((request, response) => {
    const prefix = prefixes.find((one) => request.url?.startsWith(`${one}/`));
    if (prefix === undefined || !request.url) return void response.writeHead(404).end();
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
      done({ urls: prefixes.map((prefix) => `http://127.0.0.1:${own}${prefix}/`), close: () => (server.closeAllConnections(), server.close()) });
    });
  });
}

// Makes one HTTP request at a time for HttpTransport, and wakes it.
import http from "node:http";
import { workerData } from "node:worker_threads";

const { port, signal } = workerData;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call({ url, method, headers, body, timeout }) {
  return new Promise((resolve) => {
    const request = http.request(
      url,
      { method, agent, headers: { ...Object.fromEntries(headers), "Content-Length": Buffer.byteLength(body) } },
      (response) => {
        const parts = [];
        response.on("data", (c) => parts.push(c));
        response.on("error", (e) => resolve({ error: e.message }));
        response.on("end", () =>
          resolve({
            status: response.statusCode,
            headers: Object.entries(response.headers).map(([n, v]) => [n, String(v)]),
            body: Buffer.concat(parts).toString("utf8")
          })
        );
      }
    );
    request.setTimeout(timeout, () => request.destroy(new Error("Read timed out")));
    request.on("error", (e) => resolve({ error: e.message }));
    request.end(body);
  });
}

port.on("message", async (request) => {
  port.postMessage(await call(request));
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
});

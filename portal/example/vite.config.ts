import { defineConfig } from "vite";

const api = process.env.API_URL ?? "http://127.0.0.1:8080";

// The page and the API share an origin here, as behind a portal's proxy.
export default defineConfig({ server: { host: "127.0.0.1", proxy: { "/orders": { target: api, changeOrigin: true }, "/_local": { target: api, changeOrigin: true } } } });

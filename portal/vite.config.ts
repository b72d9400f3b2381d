import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    target: "es2022",
    minify: false,
    lib: { entry: ["src/index.ts", "src/react.ts", "src/tanstack.ts", "src/swr.ts", "src/texts.ts"], formats: ["es"] },
    rolldownOptions: { external: ["react"], output: { chunkFileNames: "[name].js" } },
  },
  test: { include: ["test/**/*.test.{ts,tsx}"] },
});

import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    target: "es2022",
    minify: false,
    lib: { entry: ["src/index.ts", "src/react.ts", "src/tanstack.ts", "src/swr.ts", "src/texts.ts"], formats: ["es"] },
    rolldownOptions: {
      external: ["react"],
      output: { chunkFileNames: "[name].js" },
      // "use client" of react.ts is kept: test/package.test.ts looks.
      onwarn: (warning, warn) => warning.code === "MODULE_LEVEL_DIRECTIVE" || warn(warning),
    },
  },
  // The limit ends a test that hangs.
  test: { testTimeout: 120_000, include: ["test/**/*.test.{ts,tsx}"] },
});

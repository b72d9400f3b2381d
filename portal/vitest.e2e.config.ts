import { defineConfig } from "vitest/config";

export default defineConfig({
  // Limits that end a test which would hang; nothing is measured by them.
  test: { include: [process.env.RUN ?? "e2e/**/*.e2e.ts"], testTimeout: 300_000, hookTimeout: 120_000, fileParallelism: false },
});

import { defineConfig } from "vitest/config";

export default defineConfig({
  // Limits that end a test which would hang; nothing is measured by them.
  test: { include: ["e2e/**/*.e2e.ts"], testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false },
});

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["tests/**/*.test.ts"], exclude: ["tests/real.test.ts"], setupFiles: ["fake-indexeddb/auto"], testTimeout: 30_000 },
});

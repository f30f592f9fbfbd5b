import { defineConfig } from "vitest/config";

// Against a running system: `npm run test:real -- http://127.0.0.1:8080`.
export default defineConfig({
  test: { include: ["tests/real.test.ts"], setupFiles: ["fake-indexeddb/auto"], testTimeout: 60_000 },
});

// `npm run test:real -- <url>`: the client against a running system.
import { spawnSync } from "node:child_process";

const url = process.argv[2];
if (!url) {
  console.error("usage: npm run test:real -- http://127.0.0.1:8080");
  process.exit(2);
}
const { status } = spawnSync("vitest", ["run", "--config", "vitest.real.config.ts"], {
  env: { ...process.env, TICKLER_URL: url },
  stdio: "inherit",
});
process.exit(status ?? 1);

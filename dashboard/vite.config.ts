import react from "@vitejs/plugin-react";
import { defineConfig, type PluginOption } from "vite";
import { configDefaults } from "vitest/config";

const apiUrl = process.env.NEPHO_API_URL ?? "http://127.0.0.1:8780";

/** `npm run dev:mock` answers the native API from dev/mock.ts; nothing of it can reach a build. */
async function devPlugins(command: string): Promise<PluginOption[]> {
  if (command !== "serve" || !process.env.MOCK_API) return [];
  const { mockApi } = await import("./dev/mock.ts");
  return [mockApi()];
}

export default defineConfig(async ({ command }) => ({
  plugins: [react(), ...(await devPlugins(command))],
  build: {
    target: "es2023",
    // The Content-Security-Policy allows files of our own origin only: nothing may become a data: URI or an inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: process.env.MOCK_API ? {} : { proxy: { "/v1": apiUrl } },
  test: {
    environment: "happy-dom",
    include: ["tests/**/*.test.{ts,tsx}"],
    exclude: configDefaults.exclude,
    testTimeout: 120_000,
    restoreMocks: true,
    sequence: { shuffle: true },
  },
}));

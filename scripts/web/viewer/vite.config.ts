import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

export default defineConfig({
  base: "/static/",
  resolve: {
    // vtk.js, on which Cornerstone stands, can write XML files with this package, a third of the build. The page never does.
    alias: { xmlbuilder2: fileURLToPath(new URL("src/no_xml.ts", import.meta.url)) },
  },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    target: "es2023",
  },
});

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));

/** What the build was made of, so that a test can tell without Node whether it is up to date (tests/scripts/web/test_static.py). */
const FILES = ["index.html", "package-lock.json", "tsconfig.json", "vite.config.ts"];
const FOLDERS = ["public", "src", "src/texts"];

function sourceHash(): Plugin {
  return {
    name: "source-hash",
    generateBundle() {
      const inFolders = FOLDERS.flatMap((folder) =>
        readdirSync(here + folder, { withFileTypes: true })
          .filter((entry) => entry.isFile() && !entry.name.includes(".test."))
          .map((entry) => `${folder}/${entry.name}`),
      );
      const files = [...FILES, ...inFolders].sort();
      const lines = files.map((name) => `${createHash("sha256").update(readFileSync(here + name)).digest("hex")}  ${name}\n`);
      this.emitFile({ type: "asset", fileName: "sources.sha256", source: lines.join("") });
    },
  };
}

export default defineConfig({
  base: "/static/",
  plugins: [sourceHash()],
  resolve: {
    // vtk.js, on which Cornerstone stands, can write XML files with this package, a third of the build. The page never does.
    alias: { xmlbuilder2: here + "src/no_xml.ts" },
  },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    license: { fileName: "licenses.md" },
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    target: "es2023",
  },
});

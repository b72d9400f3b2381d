import { defineConfig } from "vite";

// The client as the local system's console page loads it. The file is in the
// repository, so that make run needs no Node; a test fails when it is not what
// is built from here.
export default defineConfig({
  build: {
    target: "es2022",
    minify: false,
    emptyOutDir: false,
    outDir: process.env.CONSOLE_OUT ?? "../local/console",
    lib: { entry: "src/console.ts", formats: ["es"], fileName: () => "portal.js" },
  },
});

import { defineConfig } from "eslint/config";
import lwc from "@salesforce/eslint-config-lwc/recommended.js";

export default defineConfig([
  { ignores: ["node_modules/", "coverage/"] },
  { files: ["orderbridge/lwc/**/*.js"], extends: [lwc] },
  {
    files: ["orderbridge/lwc/**/__tests__/**"],
    rules: { "@lwc/lwc/no-unexpected-wire-adapter-usages": "off" },
    languageOptions: {
      globals: Object.fromEntries(
        ["jest", "describe", "it", "expect", "beforeEach", "afterEach"].map((name) => [name, "readonly"])
      )
    }
  }
]);

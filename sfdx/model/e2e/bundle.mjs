// Bundles the package's own Lightning web components with Salesforce's base
// components (lightning-base-components) for a browser.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import lwc from "@lwc/rollup-plugin";
import resolve from "@rollup/plugin-node-resolve";
import replace from "@rollup/plugin-replace";
import { rollup } from "rollup";
import { NotModelled } from "../src/errors.mjs";

const here = import.meta.dirname;
const base = path.dirname(createRequire(import.meta.url).resolve("lightning-base-components/package.json"));
const STAND_INS = ["platformShowToastEvent", "uiRecordApi"];

/** The text of a module that the platform makes: @salesforce/… */
function scoped(name, project) {
  const apex = name.match(/^@salesforce\/apex\/(\w+)\.(\w+)$/);
  if (apex) return `export default (parameters) => window.callApex("${apex[1]}", "${apex[2]}", parameters);`;
  const label = name.match(/^@salesforce\/label\/c\.(\w+)$/);
  if (label) {
    const text = project.labels.get(label[1].toLowerCase());
    if (text === undefined) throw new NotModelled(`label ${label[1]}`);
    return `export default ${JSON.stringify(text)};`;
  }
  const field = name.match(/^@salesforce\/schema\/(\w+)\.(\w+)$/);
  if (field) {
    if (!project.schema.field(field[1], field[2])) throw new NotModelled(`field ${name}`);
    return `export default ${JSON.stringify({ objectApiName: field[1], fieldApiName: field[2] })};`;
  }
  const permission = name.match(/^@salesforce\/customPermission\/(\w+)$/);
  if (permission) {
    if (!project.customPermissions.has(permission[1].toLowerCase()))
      throw new NotModelled(`custom permission ${permission[1]}`);
    return `export default window.customPermissions.includes("${permission[1]}") || undefined;`;
  }
  const own = path.join(base, "scopedImports", `${name.replace(/\//g, "-")}.js`);
  if (fs.existsSync(own)) return fs.readFileSync(own, "utf8");
  // Feature switches and texts of Salesforce's own components.
  if (/^@salesforce\/(gate|accessCheck)\//.test(name)) return "export default { isOpen: () => false };";
  if (/^@salesforce\/(label|i18n|client|internal)\b/.test(name))
    return `export default ${JSON.stringify(name.split("/").at(-1))};`;
  throw new NotModelled(`module ${name}`);
}

/** @returns the code of the bundle, with that of the page's entry */
export async function bundle(project, lwcDirectory) {
  // The resolver looks for packages above a file, so the folder lies where they are; git ignores it.
  const modules = fs.mkdtempSync(path.join(here, "../node_modules/.c-"));
  fs.symlinkSync(path.resolve(lwcDirectory), path.join(modules, "c"));
  const platform = {
    name: "platform",
    resolveId(id) {
      const name = id.match(/^lightning\/(\w+)$/)?.[1];
      if (STAND_INS.includes(name)) return path.join(here, "page", `${name}.js`);
      // The drawings of icons, 20 MB of templates: an icon keeps its place and its text.
      if (name?.startsWith("iconSvgTemplates")) return "\0no-icons";
      return id.startsWith("@salesforce/") ? `\0${id}` : null;
    },
    load(id) {
      if (id === "\0no-icons") return "export default {};";
      return id.startsWith("\0@salesforce/") ? scoped(id.slice(1), project) : null;
    }
  };
  try {
    const built = await rollup({
      input: path.join(here, "page", "main.js"),
      plugins: [
        platform,
        lwc({
          rootDir: here,
          modules: [{ dir: modules }, { npm: "lightning-base-components" }],
          enableDynamicComponents: true
        }),
        resolve(),
        replace({ "process.env.NODE_ENV": '"development"', "import.meta.env.SSR": "false", preventAssignment: true })
      ],
      onwarn(warning) {
        // The base components are older than the compiler and say so in many ways.
        if (
          !/lightning-base-components/.test(`${warning.id ?? warning.loc?.file ?? ""}${warning.message}`) &&
          !["CIRCULAR_DEPENDENCY", "THIS_IS_UNDEFINED"].includes(warning.code)
        )
          console.warn(warning.message);
      }
    });
    const { output } = await built.generate({ format: "es", inlineDynamicImports: true });
    await built.close();
    return output[0].code;
  } finally {
    fs.rmSync(modules, { recursive: true });
  }
}

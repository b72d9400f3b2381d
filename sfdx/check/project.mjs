/**
 * Reads the package as files: what every check looks at. Knows no rule.
 */
import fs from "node:fs";
import path from "node:path";
import { XMLParser, XMLValidator } from "fast-xml-parser";

/** The package directories, in the order of their dependence. */
export const DIRECTORIES = ["orderbridge-mapping", "orderbridge"];
/** Templates of metadata that are rendered for one org; checked, never deployed as they are. */
const TEMPLATES = "unpackaged/eca";

const xml = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  ignoreDeclaration: true,
  trimValues: true
});

/** Whatever an element is in the XML: absent, one, or several. */
export const list = (value) => (value === undefined || value === "" ? [] : [value].flat());

function filesUnder(root, dir) {
  if (!fs.existsSync(path.join(root, dir))) {
    return [];
  }
  return fs
    .readdirSync(path.join(root, dir), { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory() ? filesUnder(root, path.join(dir, entry.name)) : [path.join(dir, entry.name)]
    );
}

/** One metadata file. */
class Metadata {
  constructor(file, text) {
    const base = path.basename(file).replace(/-meta\.xml$/, "");
    this.file = file;
    this.name = base.slice(0, base.lastIndexOf("."));
    this.suffix = base.slice(base.lastIndexOf(".") + 1);
    const valid = XMLValidator.validate(text);
    this.malformed = valid === true ? undefined : `line ${valid.err.line}: ${valid.err.msg}`;
    const parsed = this.malformed ? {} : xml.parse(text);
    [this.type] = Object.keys(parsed);
    this.body = parsed[this.type] ?? {};
    // The folder under objects/, of what belongs to an object.
    this.object = file.match(/\/objects\/(\w+)\//)?.[1];
  }
}

export class Project {
  /** @param {string} root the directory of sfdx-project.json */
  constructor(root) {
    this.root = root;
    this.files = [...DIRECTORIES, TEMPLATES].flatMap((dir) => filesUnder(root, dir)).sort();
    this.metadata = this.files
      .filter((file) => file.endsWith("-meta.xml"))
      .map((file) => new Metadata(file, this.read(file)));
  }

  read(file) {
    return fs.readFileSync(path.join(this.root, file), "utf8");
  }

  /** Metadata of one type, e.g. CustomField. */
  ofType(type) {
    return this.metadata.filter((one) => one.type === type);
  }

  /** Custom fields as "Object.Field__c" → their XML. */
  get fields() {
    return new Map(this.ofType("CustomField").map((one) => [`${one.object}.${one.name}`, one.body]));
  }

  get labels() {
    return new Map(
      this.ofType("CustomLabels").flatMap((one) => list(one.body.labels).map((label) => [label.fullName, label.value]))
    );
  }

  names(type) {
    return new Set(this.ofType(type).map((one) => one.name));
  }

  /** Apex sources as name → text, comments and string literals kept. */
  get apex() {
    return new Map(
      this.files
        .filter((file) => /\.(cls|trigger)$/.test(file))
        .map((file) => [path.basename(file).replace(/\.\w+$/, ""), { file, text: this.read(file) }])
    );
  }

  /** Lightning components as name → {file, js, html}. */
  get components() {
    const found = new Map();
    for (const file of this.files) {
      const name = file.match(/\/lwc\/(\w+)\/\1\.js$/)?.[1];
      if (name) {
        const html = file.replace(/\.js$/, ".html");
        found.set(name, { file, js: this.read(file), html: this.files.includes(html) ? this.read(html) : "" });
      }
    }
    return found;
  }
}

/**
 * Salesforce's Code Analyzer: PMD with its recommended rules and those of the
 * AppExchange review, the regular expressions, and the data-flow engine (SFGE).
 */
import os from "node:os";
import path from "node:path";
import { CodeAnalyzer, CodeAnalyzerConfig } from "@salesforce/code-analyzer-core";
import * as pmd from "@salesforce/code-analyzer-pmd-engine";
import * as regex from "@salesforce/code-analyzer-regex-engine";
import * as sfge from "@salesforce/code-analyzer-sfge-engine";
import { DIRECTORIES } from "./project.mjs";

/**
 * Findings that are not followed, each with the reason.
 * @type {{rule: string, file?: RegExp, reason: string}[]}
 */
export const ACCEPTED = [
  {
    rule: "ApexUnitTestClassShouldHaveAsserts",
    reason: "does not follow a call of the test's own assert method; check/refs.mjs does, for every test"
  },
  {
    rule: "ApexUnitTestClassShouldHaveRunAs",
    reason: "every entry of a user is tested by runAs; what runs without a user, and what is pure, is not"
  },
  { rule: "AvoidHardcodingId", file: /_Tests\.cls$/, reason: "the ids are those of the contract's vectors" },
  {
    rule: "AvoidBooleanMethodParameters",
    reason: "the parameters of an @AuraEnabled method and of constructors are named"
  },
  { rule: "ExcessiveParameterList", reason: "private constructors of values, called in one place" },
  {
    rule: "OperationWithLimitsInLoop",
    file: /ProvisionResend\.cls$/,
    reason: "four schedules, once, by an administrator"
  }
];

/**
 * @param {string[]} engines of "pmd", "regex", "sfge"
 * @param {string[]} [targets] files; all where absent
 * @returns {Promise<string[]>} findings
 */
export async function analyze(root, engines, targets) {
  const config = CodeAnalyzerConfig.fromObject({ log_folder: os.tmpdir() });
  const analyzer = new CodeAnalyzer(config);
  for (const [name, plugin] of Object.entries({ pmd, regex, sfge })) {
    if (engines.includes(name)) {
      await analyzer.addEnginePlugin(plugin.createEnginePlugin());
    }
  }
  const workspace = await analyzer.createWorkspace(
    DIRECTORIES.map((dir) => path.resolve(root, dir)),
    targets
  );
  const selectors = engines.flatMap((engine) => (engine === "pmd" ? ["pmd:Recommended", "pmd:AppExchange"] : [engine]));
  const rules = await analyzer.selectRules(selectors, { workspace });
  const results = await analyzer.run(rules, { workspace });
  const findings = [];
  const ran = new Set();
  for (const result of engines.map((engine) => results.getEngineRunResults(engine))) {
    ran.add(result.getEngineName());
    for (const violation of result.getViolations()) {
      const at = violation.getPrimaryLocation();
      const file = path.relative(path.resolve(root), at.getFile() ?? "");
      const rule = violation.getRule().getName();
      if (!ACCEPTED.some((one) => one.rule === rule && (!one.file || one.file.test(file)))) {
        findings.push(
          `${file}:${at.getStartLine()}: ${rule}: ${violation.getMessage().replace(/\s+/g, " ").slice(0, 300)}`
        );
      }
    }
  }
  return findings;
}

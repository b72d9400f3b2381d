const { jestConfig } = require("@salesforce/sfdx-lwc-jest/config");

module.exports = {
  ...jestConfig,
  roots: ["<rootDir>/orderbridge/lwc"],
  setupFilesAfterEnv: [...(jestConfig.setupFilesAfterEnv ?? []), "<rootDir>/jest.setup.cjs"],
  // The coverage that a change must keep.
  collectCoverageFrom: ["orderbridge/lwc/**/*.js", "!**/__tests__/**"],
  coverageReporters: ["text-summary"],
  coverageThreshold: { global: { statements: 95, lines: 95, functions: 95, branches: 85 } }
};

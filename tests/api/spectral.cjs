// Lints descriptions in OpenAPI by Spectral's own rules. Usage: node spectral.cjs PACKAGES FILE...
// Prints one JSON object: file -> sentences, one for each finding of any severity.
const fs = require("fs");
const path = require("path");

const [packages, ...files] = process.argv.slice(2);
const { Document, Spectral } = require(path.join(packages, "spectral-core"));
const { Json } = require(path.join(packages, "spectral-parsers"));
const { oas } = require(path.join(packages, "spectral-rulesets"));

const linter = new Spectral();
linter.setRuleset({ extends: [[oas, "recommended"]] });
const lint = async (file) => {
  const findings = await linter.run(new Document(fs.readFileSync(file, "utf8"), Json, file));
  return findings.map((each) => `${each.code} at ${each.path.join("/")}: ${each.message}`);
};
(async () => {
  const found = {};
  for (const file of files) found[path.basename(file)] = await lint(file);
  process.stdout.write(JSON.stringify(found));
})();

// Checks a template as CloudFormation deploys it with the rules of AwsSolutionsChecks (cdk-nag). It needs neither
// credentials nor a network. Exits with 1 if a finding is not in suppressions.json, or if a suppression matches nothing.
// Usage: node .ci/template/nag/check.js TEMPLATE

import { readFileSync } from "node:fs";
import { App, Stack } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { AwsSolutionsChecks } from "cdk-nag";

const templateFile = process.argv[2];
const template = JSON.parse(readFileSync(templateFile));
// A rule needs values and not references to parameters.
const parameters = Object.fromEntries(
  Object.entries(template.Parameters).map(([name, parameter]) => [name, parameter.Default]),
);

const app = new App({ analyticsReporting: false });
new CfnInclude(new Stack(app, "Stack"), "Template", { templateFile, parameters });
const report = new AwsSolutionsChecks(app, { verbose: true }).validateScope(app);

const key = (rule, resource) => `${rule} ${resource}`;
// By rule and logical id, which is the last part of a path.
const findings = new Map(
  report.violations.flatMap(({ ruleName, description, violatingResources }) =>
    violatingResources.map(({ constructPath }) => [key(ruleName, constructPath.split("/").at(-1)), description]),
  ),
);
const suppressions = JSON.parse(readFileSync(new URL("suppressions.json", import.meta.url)));
const suppressed = new Set(
  suppressions.flatMap(({ rule, resources, reason }) => {
    if (!reason) throw new Error(`${rule}: no reason`);
    return resources.map((resource) => key(rule, resource));
  }),
);

const failures = [
  ...[...findings].filter(([id]) => !suppressed.has(id)).map(([id, description]) => `${id}: ${description}`),
  ...[...suppressed].filter((id) => !findings.has(id)).map((id) => `${id}: the suppression matches no finding`),
];
for (const failure of failures) console.error(`cdk-nag: ${failure}`);
console.log(`cdk-nag: ${failures.length} failures, ${findings.size} findings, ${suppressed.size} suppressions`);
process.exitCode = failures.length === 0 ? 0 : 1;

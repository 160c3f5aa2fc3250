// Holds custom resources, a list of them as JSON on standard input, to the schemas and to the types of their kinds: the first know
// what a value may be, the second which names there are. Ends with 1 and says what is wrong.
//
//   node schemas.mjs FOLDER    the folder with node_modules; what is written beside it is removed again

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const FOLDER = process.argv[2];
const PACKAGES = {
  "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
};
const wrong = [];
const resources = JSON.parse(readFileSync(0, "utf8"));

for (const resource of resources) {
  const kinds = await import(pathToFileURL(join(FOLDER, "node_modules", PACKAGES[resource.apiVersion], "index.js")));
  const kind = (kinds.default ?? kinds)[resource.kind] ?? kinds[resource.kind];
  try {
    new kind(resource).validate();
  } catch (error) {
    wrong.push(`${resource.kind} ${resource.metadata.name}: ${error.message}`);
  }
}

// An object literal may have no name that its type lacks.
const ts = createRequire(join(FOLDER, "node_modules/typescript/package.json"))("typescript");
const folder = mkdtempSync(join(FOLDER, "typed-"));
try {
  const text = resources.map(
    (resource, at) =>
      `import type { I${resource.kind} as K${at} } from "${PACKAGES[resource.apiVersion]}/${resource.kind}";\n` +
      `export const r${at}: K${at} = ${JSON.stringify(resource)};\n`,
  );
  const file = join(folder, "resources.mts");
  writeFileSync(file, text.join(""));
  const options = { noEmit: true, strict: true, skipLibCheck: true, module: ts.ModuleKind.NodeNext, types: [] };
  const program = ts.createProgram([file], { ...options, moduleResolution: ts.ModuleResolutionKind.NodeNext });
  for (const found of ts.getPreEmitDiagnostics(program)) {
    wrong.push(ts.flattenDiagnosticMessageText(found.messageText, "\n"));
  }
} finally {
  rmSync(folder, { recursive: true });
}

wrong.forEach((line) => console.error(line));
process.exitCode = wrong.length ? 1 : 0;

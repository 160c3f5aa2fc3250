// Holds dashboards, a list of them as JSON on standard input, to Grafana's own types: each panel to those of its kind, so that no
// name is one that Grafana does not know, and no value one that it does not take. Ends with 1 and says what is wrong.
//
//   node dashboards.mjs FOLDER    the folder with node_modules; what is written beside it is removed again

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const FOLDER = process.argv[2];
// Types of a panel's options, and of what its fields have of their own, by its kind.
const KINDS = {
  stat: ["Stat.Options", "Record<string, never>"],
  table: ["Table.Options", "Table.FieldConfig"],
  timeseries: ["TimeSeries.Options", "TimeSeries.FieldConfig"],
  "state-timeline": ["StateTimeline.Options", "StateTimeline.FieldConfig"],
};
const raw = (name) => `@grafana/schema/dist/esm/raw/composable/${name.toLowerCase()}/panelcfg/x/${name}PanelCfg_types.gen`;
const HEAD = `
import type { Dashboard, DataSourceRef, FieldConfig, Panel, RowPanel, VariableModel } from "@grafana/schema";
${["Stat", "Table", "TimeSeries", "StateTimeline"].map((name) => `import type * as ${name} from "${raw(name)}";`).join("\n")}

// As JSON writes it: an enum by its value. What has any name (Record<string, unknown>) stays.
type Plain<T> = unknown extends T ? T
  : T extends string ? \`\${T}\`
  : T extends number ? (\`\${T}\` extends \`\${infer N extends number}\` ? N : T)
  : T extends boolean | null | undefined ? T
  : T extends Array<infer E> ? Array<Plain<E>>
  : { [K in keyof T]: Plain<T[K]> };
// A query as Grafana's Prometheus data source takes it. @grafana/schema has no type for it.
interface Target {
  refId: string; expr: string; legendFormat: string; format?: "table" | "time_series" | "heatmap";
  instant?: boolean; range?: boolean; exemplar?: boolean;
}
type PanelOf<Kind, Options, Custom> = Plain<Omit<Panel, "type" | "options" | "fieldConfig" | "targets" | "datasource">> & {
  type: Kind; title: string; description: string; datasource: DataSourceRef; targets: Target[]; options: Plain<Options>;
  fieldConfig: {
    defaults: Plain<Omit<FieldConfig, "custom">> & { custom?: Partial<Plain<Custom>> };
    overrides: { matcher: { id: string; options?: string }; properties: { id: string; value?: unknown }[] }[];
  };
};
`;

const text = [HEAD];
let constants = 0;
const declare = (type, value) => text.push(`export const c${constants++}: ${type} = ${JSON.stringify(value)};\n`);
const wrong = [];
for (const { panels, templating, ...dashboard } of JSON.parse(readFileSync(0, "utf8"))) {
  declare('Plain<Omit<Dashboard, "panels" | "templating">>', dashboard);
  for (const variable of templating.list) declare("Plain<VariableModel>", variable);
  for (const panel of panels) {
    const kind = KINDS[panel.type];
    if (panel.type === "row") declare("Plain<RowPanel>", panel);
    else if (kind) declare(`PanelOf<${JSON.stringify(panel.type)}, ${kind.join(", ")}>`, panel);
    else wrong.push(`${dashboard.title}, ${panel.title}: the kind ${panel.type} is not known here`);
  }
}

const ts = createRequire(join(FOLDER, "node_modules/typescript/package.json"))("typescript");
const folder = mkdtempSync(join(FOLDER, "typed-"));
try {
  const file = join(folder, "dashboards.mts");
  writeFileSync(file, text.join(""));
  const options = { noEmit: true, strict: true, skipLibCheck: true, module: ts.ModuleKind.NodeNext, types: [] };
  const program = ts.createProgram([file], { ...options, moduleResolution: ts.ModuleResolutionKind.NodeNext });
  for (const found of ts.getPreEmitDiagnostics(program)) {
    const line = found.file ? found.file.text.slice(found.start, found.start + 80) : "";
    wrong.push(`${ts.flattenDiagnosticMessageText(found.messageText, "\n")}\n    at ${line}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}

wrong.forEach((line) => console.error(line));
process.exitCode = wrong.length ? 1 : 0;

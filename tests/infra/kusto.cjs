// Reads queries with Kusto's own parser, against the table that they are for. Usage: node kusto.cjs PACKAGE FILE...
// Prints one JSON object: file -> {"errors": [...], "columns": {name: type}}.
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [folder, ...files] = process.argv.slice(2);
for (const script of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, script), "utf8"), { filename: script });
}
const { GlobalState, KustoCode, Symbols } = Kusto.Language;

// The columns of the table that the queries may use (Azure Monitor Logs reference, "AppTraces").
const columns = "TimeGenerated: datetime, Message: string, SeverityLevel: int, AppRoleName: string, Properties: dynamic";
const table = new Symbols.TableSymbol.$ctor7("AppTraces", `(${columns})`, null);
const workspace = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", [table]));

const list = (those) => Array.from({ length: those.Count }, (_, at) => those.getItem(at));
const read = (file) => {
  const code = KustoCode.ParseAndAnalyze(fs.readFileSync(file, "utf8"), workspace);
  const found = code.ResultType && code.ResultType.Columns ? list(code.ResultType.Columns) : [];
  return {
    errors: list(code.GetDiagnostics()).map((one) => `${one.Severity} at ${one.Start}: ${one.Message}`),
    columns: Object.fromEntries(found.map((column) => [column.Name, column.Type.Name])),
  };
};
process.stdout.write(JSON.stringify(Object.fromEntries(files.map((file) => [path.basename(file), read(file)]))));

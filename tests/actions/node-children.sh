# marks: 7
cat >kids.js <<'P'
const c = require("child_process"), fs = require("fs");
const mark = () => fs.appendFileSync(process.env.TRUTH, process.env.STEP + " " + process.pid + "\n");
mark();
if (process.argv[2] !== "kid") {
  c.spawnSync("mark"); c.execSync("mark; true");
  c.fork(__filename, ["kid"]); c.exec("mark; true");
  c.spawn("sh", ["-c", "sleep 0.2; mark"], { detached: true, stdio: "ignore" }).unref();
}
P
step a 'node kids.js'
sleep 1

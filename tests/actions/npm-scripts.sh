# marks: 7
cat >package.json <<'P'
{"name": "a", "version": "1.0.0", "scripts": {"prebuild": "mark", "build": "mark && npm run --silent inner", "inner": "mark & mark; wait", "postbuild": "mark"}}
P
step a 'm; npm run --silent --no-update-notifier build'

# marks: 5
# a reader that never ends by itself, ended by a time limit
step a '(m; for n in 1 2 3; do echo $n; sleep 0.05; done >lines) & timeout 0.4 bash -c "m; tail -f lines 2>/dev/null | (m; cat >/dev/null)"; m'

# marks: 5
step a 'cat <(m; echo a) <(m; echo b) > >(m; cat >/dev/null); m; sleep 0.1'

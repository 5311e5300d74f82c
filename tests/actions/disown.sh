# marks: 5
step a '(m; sleep 0.1; m) & disown; m'
step b m
sleep 1

# marks: 7
step a '( (m; sleep 0.1; m) & ) & m'
step b '( (m; sleep 0.1; m) & ) & m'
sleep 1

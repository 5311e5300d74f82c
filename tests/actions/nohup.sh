# marks: 4
step a 'nohup bash -c "m; sleep 0.1; m" >/dev/null 2>&1 & m'
sleep 1

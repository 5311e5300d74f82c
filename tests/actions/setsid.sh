# marks: 5
step a 'setsid bash -c "m; sleep 0.1; m" & m'
step b 'setsid -f bash -c m'
sleep 1

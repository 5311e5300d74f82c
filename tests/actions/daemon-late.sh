# marks: 5
# late: a
step a 'setsid bash -c "sleep 0.3; m" & m'
step b 'm; sleep 1.5; m'

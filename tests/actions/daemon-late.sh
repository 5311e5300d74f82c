# marks: 5
# late: a
step a 'setsid bash -c "sleep 0.3; m" & m'
step b 'm; sleep 0.6; m'

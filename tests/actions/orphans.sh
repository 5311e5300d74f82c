# marks: 5
step a '(bash -c "m; sleep 0.2; m" & kill -9 $BASHPID); m'
step b 'sleep 1; m'

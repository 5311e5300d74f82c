# Before every sequence. The shell that reads it is the agent; each `step` and `begin` is one process of the agent's, so an
# action. What runs says itself what it belongs to: the step's name and its own number.
m() { echo "$STEP $BASHPID" >>"$TRUTH"; }
export -f m
step() { STEP=$1 bash -c "$2"; }
begin() { STEP=$1 bash -c "$2" & }
STEP=agent m

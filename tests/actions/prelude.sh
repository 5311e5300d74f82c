# Before every sequence. The shell that reads it is the agent; each `step` and `begin` is one process of the agent's, so an
# action. What runs says itself what it belongs to: the step's name and its own number.
m() { echo "$STEP $BASHPID" >>"$TRUTH"; }
export -f m
step() { STEP=$1 bash -c "$2"; }
begin() { STEP=$1 bash -c "$2" & }
STEP=agent m

# A program whose workers are processes of their own, by the way of starting them that it is told.
pool() {
	cat >pool.py <<'P'
import multiprocessing, os, sys
def work(n):
    with open(os.environ["TRUTH"], "a") as t: t.write("%s %d\n" % (os.environ["STEP"], os.getpid()))
    return n
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    work(0)
    all = [multiprocessing.Process(target=work, args=(n,)) for n in range(8)]
    for p in all: p.start()
    for p in all: p.join()
P
}

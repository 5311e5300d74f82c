# marks: 4
cat >daemon.py <<'P'
import os, time
def mark():
    with open(os.environ["TRUTH"], "a") as t: t.write("%s %d\n" % (os.environ["STEP"], os.getpid()))
mark()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        mark(); time.sleep(0.2); mark()
    os._exit(0)
P
step a 'python3 daemon.py'
sleep 1

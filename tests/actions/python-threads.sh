# marks: 8
cat >threads.py <<'P'
import os, subprocess, threading
all = [threading.Thread(target=subprocess.run, args=(["mark"],)) for n in range(6)]
for t in all: t.start()
for t in all: t.join()
os.execvp("mark", ["mark"])
P
step a 'python3 threads.py'

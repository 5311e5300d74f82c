# marks: 10
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
step a 'python3 pool.py spawn'

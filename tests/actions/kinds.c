/* Ways to make a process, and io_uring, that no shell has: the program says by its first argument which. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define CHECK(what) do { if (!(what)) { perror(#what); exit(1); } } while (0)

/* which step this process belongs to, by its own word */
static void mark(void)
{
	char line[256];
	int to = open(getenv("TRUTH"), O_WRONLY | O_APPEND | O_CLOEXEC);
	int size = snprintf(line, sizeof line, "%s %d\n", getenv("STEP"), getpid());
	CHECK(to >= 0 && write(to, line, size) == size);
	close(to);
}

static void await(pid_t child)
{
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void spawn(char *command)
{
	char *argv[] = { command, NULL };
	pid_t child;
	CHECK(posix_spawnp(&child, command, NULL, NULL, argv, environ) == 0);
	await(child);
}

static void by_vfork(char *command)
{
	pid_t child = vfork();
	CHECK(child >= 0);
	if (child == 0) {
		execlp(command, command, (char *)NULL);
		_exit(127);
	}
	await(child);
}

/* its parent is this process's, which waits for it or nobody does */
static void sibling(char *command)
{
	long child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	CHECK(child >= 0);
	if (child == 0) {
		execlp(command, command, (char *)NULL);
		_exit(127);
	}
}

static void *execs(void *command)
{
	execlp(command, command, (char *)NULL);
	return NULL;
}

static void *spawns(void *command)
{
	spawn(command);
	return NULL;
}

static void threads(int count, void *(*what)(void *), char *command)
{
	pthread_t all[64];
	for (int n = 0; n < count; n++)
		CHECK(pthread_create(&all[n], NULL, what, command) == 0);
	for (int n = 0; n < count; n++)
		pthread_join(all[n], NULL);
}

/* one step a thread */
struct step { char name[64]; char *command; };

static void *step(void *of)
{
	struct step *step = of;
	char variable[80], *argv[] = { step->command, NULL };
	snprintf(variable, sizeof variable, "STEP=%s", step->name);
	char *path = getenv("PATH"), *truth = getenv("TRUTH"), paths[4096], truths[512];
	snprintf(paths, sizeof paths, "PATH=%s", path);
	snprintf(truths, sizeof truths, "TRUTH=%s", truth);
	char *own[] = { variable, paths, truths, NULL };
	pid_t child;
	CHECK(posix_spawnp(&child, step->command, NULL, NULL, argv, own) == 0);
	await(child);
	return NULL;
}

static void agent_threads(int count, char *command)
{
	static struct step steps[64];
	pthread_t all[64];
	for (int n = 0; n < count; n++) {
		snprintf(steps[n].name, sizeof steps[n].name, "step-%d", n);
		steps[n].command = command;
		CHECK(pthread_create(&all[n], NULL, step, &steps[n]) == 0);
	}
	for (int n = 0; n < count; n++)
		pthread_join(all[n], NULL);
}

/* the kernel writes through the ring's own memory: every access is ordered */
static void uring(int rounds, unsigned char flags, unsigned setup)
{
	struct io_uring_params p = { .flags = setup, .sq_thread_idle = 50 };
	int ring = syscall(SYS_io_uring_setup, 8, &p);
	CHECK(ring >= 0);
	char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqes = mmap(NULL, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	CHECK(sq != MAP_FAILED && cq != MAP_FAILED && sqes != MAP_FAILED);
	unsigned *tail = (unsigned *)(sq + p.sq_off.tail), mask = *(unsigned *)(sq + p.sq_off.ring_mask);
	unsigned *head = (unsigned *)(cq + p.cq_off.head), *ready = (unsigned *)(cq + p.cq_off.tail);
	unsigned *state = (unsigned *)(sq + p.sq_off.flags);
	char name[64], buffer[16] = "some bytes";
	snprintf(name, sizeof name, "uring-%d", getpid());
	int file = open(name, O_RDWR | O_CREAT, 0600);
	CHECK(file >= 0);
	for (int n = 0; n < 2 * rounds; n++) {
		unsigned at = *tail & mask;
		memset(&sqes[at], 0, sizeof sqes[at]);
		sqes[at].opcode = n % 2 ? IORING_OP_READ : IORING_OP_WRITE;
		sqes[at].flags = flags;
		sqes[at].fd = file;
		sqes[at].addr = (unsigned long)buffer;
		sqes[at].len = 10;
		sqes[at].user_data = n;
		((unsigned *)(sq + p.sq_off.array))[at] = at;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_SEQ_CST);
		unsigned how = IORING_ENTER_GETEVENTS, submit = setup & IORING_SETUP_SQPOLL ? 0 : 1;
		if (__atomic_load_n(state, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
			how |= IORING_ENTER_SQ_WAKEUP;
		while (__atomic_load_n(ready, __ATOMIC_ACQUIRE) == *head) {
			CHECK(syscall(SYS_io_uring_enter, ring, submit, 1, how, NULL, 0) >= 0);
			submit = 0;
		}
		struct io_uring_cqe *done = (struct io_uring_cqe *)(cq + p.cq_off.cqes) + (*head & *(unsigned *)(cq + p.cq_off.ring_mask));
		CHECK(done->res == 10);
		__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	}
	unlink(name);
}

int main(int argc, char **argv)
{
	CHECK(argc > 2);
	mark();
	char *what = argv[1], *last = argv[argc - 1];
	int count = atoi(argv[2]);
	if (!strcmp(what, "spawn"))
		spawn(last);
	else if (!strcmp(what, "vfork"))
		by_vfork(last);
	else if (!strcmp(what, "sibling"))
		sibling(last);
	else if (!strcmp(what, "thread-exec"))
		threads(1, execs, last);
	else if (!strcmp(what, "threads"))
		threads(count, spawns, last);
	else if (!strcmp(what, "agent-threads"))
		agent_threads(count, last);
	else if (!strcmp(what, "agent-kinds")) {
		setenv("STEP", "spawned", 1);
		spawn(last);
		setenv("STEP", "vforked", 1);
		by_vfork(last);
		setenv("STEP", "sibling", 1);
		sibling(last);
		usleep(200000);
	} else if (!strcmp(what, "uring"))
		uring(count, atoi(last), 0);
	else if (!strcmp(what, "uring-polled"))
		uring(count, atoi(last), IORING_SETUP_SQPOLL);
	else
		CHECK(!"a kind");
	return 0;
}

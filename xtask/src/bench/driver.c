// The work that is measured, inside of a session or natively: one batch for each byte on standard
// input, one line of "clock processor" in nanoseconds for each batch on standard output. In C, so
// that nothing but the system calls is between the two clocks.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct took {
    double clock, processor;
};

static double now(clockid_t of)
{
    struct timespec t;
    clock_gettime(of, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void open_and_close(const char *path, int flags, int mode)
{
    int file = open(path, flags | O_CLOEXEC, mode);
    if (file < 0)
        fail(path);
    close(file);
}

// open FLAGS PATH TIMES: of one open and close
static struct took opens(char **words)
{
    int flags = strcmp(words[0], "write") == 0 ? O_WRONLY : O_RDONLY, times = atoi(words[2]);
    double clock = now(CLOCK_MONOTONIC), processor = now(CLOCK_PROCESS_CPUTIME_ID);
    for (int n = 0; n < times; n++)
        open_and_close(words[1], flags, 0);
    struct took took = {now(CLOCK_MONOTONIC) - clock, now(CLOCK_PROCESS_CPUTIME_ID) - processor};
    took.clock /= times;
    took.processor /= times;
    return took;
}

// churn FOLDER NUMBER: of making that many files and removing them
static struct took churn(char **words)
{
    int number = atoi(words[1]);
    double clock = now(CLOCK_MONOTONIC), processor = now(CLOCK_PROCESS_CPUTIME_ID);
    char path[4096];
    for (int remove = 0; remove < 2; remove++)
        for (int n = 0; n < number; n++) {
            snprintf(path, sizeof path, "%s/%d", words[0], n);
            if (!remove)
                open_and_close(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
            else if (unlink(path) != 0)
                fail(path);
        }
    return (struct took){now(CLOCK_MONOTONIC) - clock, now(CLOCK_PROCESS_CPUTIME_ID) - processor};
}

static struct took shell(const char *command)
{
    double clock = now(CLOCK_MONOTONIC);
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        // what is typed to the driver is not the command's, nor is its answer
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        execl("/bin/sh", "sh", "-c", command, (char *)0);
        _exit(127);
    }
    int status;
    struct rusage spent;
    if (wait4(child, &status, 0, &spent) != child)
        fail("wait4");
    if (status != 0) {
        fprintf(stderr, "%s: status %d\n", command, status);
        exit(1);
    }
    double processor = (spent.ru_utime.tv_sec + spent.ru_stime.tv_sec) * 1e9 +
                       (spent.ru_utime.tv_usec + spent.ru_stime.tv_usec) * 1e3;
    return (struct took){now(CLOCK_MONOTONIC) - clock, processor};
}

// run BEFORE COMMAND: of the command; what comes before it is not measured
static struct took run(char **words)
{
    shell(words[0]);
    return shell(words[1]);
}

int main(int count, char **words)
{
    const struct {
        const char *name;
        int words;
        struct took (*batch)(char **);
    } all[] = {{"open", 3, opens}, {"churn", 2, churn}, {"run", 2, run}};
    for (unsigned n = 0; n < sizeof all / sizeof *all; n++) {
        if (count < 2 || strcmp(words[1], all[n].name) != 0 || count != 2 + all[n].words)
            continue;
        char go;
        while (read(0, &go, 1) == 1) {
            struct took took = all[n].batch(words + 2);
            printf("%.0f %.0f\n", took.clock, took.processor);
            fflush(stdout);
        }
        return 0;
    }
    fprintf(stderr, "driver: open FLAGS PATH TIMES, churn FOLDER NUMBER or run BEFORE COMMAND\n");
    return 2;
}

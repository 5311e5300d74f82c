//! The C tool chain, and debuggers on the user's own children.

use crate::Work;

/// A library, a program that uses it, and its test.
const PROJECT: &str = r#"
mkdir -p src include
cat > include/sum.h <<'X'
int sum(const int *of, int n);
X
cat > src/sum.c <<'X'
#include "sum.h"
int sum(const int *of, int n) { int s = 0; for (int i = 0; i < n; i++) s += of[i]; return s; }
X
cat > src/main.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include "sum.h"
int main(int argc, char **argv) {
    int of[64], n = 0;
    for (int i = 1; i < argc && n < 64; i++) of[n++] = atoi(argv[i]);
    printf("%d\n", sum(of, n));
    return n == 0;
}
X
cat > Makefile <<'X'
CFLAGS = -O1 -g -Wall -Iinclude -fPIC
all: sum libsum.so
src/%.o: src/%.c include/sum.h
	$(CC) $(CFLAGS) -c -o $@ $<
libsum.a: src/sum.o
	$(AR) rcD $@ $^
libsum.so: src/sum.o
	$(CC) -shared -o $@ $^
sum: src/main.o libsum.a
	$(CC) -o $@ $^
check: all
	test "$$(./sum 1 2 3)" = 6 && echo passed
clean:
	rm -f sum libsum.* src/*.o
.PHONY: all check clean
X
"#;

#[test]
fn make_and_gcc() {
    Work::new("make").before(PROJECT).same(
        "make; make check; make; ldd ./sum | wc -l; nm -g libsum.so | grep -w sum; size sum | tail -1
         make clean; make -j4 check 2>&1 | tail -1; touch src/sum.c; make -n | tail -1
         ./sum || echo status $?; gcc -O2 -flto -Iinclude src/*.c -o lto; ./lto 4 5
         gcc -fsanitize=address -Iinclude src/*.c -o asan; ASAN_OPTIONS=detect_leaks=0 ./asan 4 5; rm asan lto; strip sum",
    );
}

#[test]
fn cmake() {
    let lists = r"cat > CMakeLists.txt <<'X'
cmake_minimum_required(VERSION 3.10)
project(sum C)
include_directories(include)
add_executable(sum src/main.c src/sum.c)
enable_testing()
add_test(NAME adds COMMAND sum 1 2)
X
";
    // its logs hold times
    Work::new("cmake")
        .before(format!("{PROJECT}{lists}"))
        .unlike(&["CMakeFiles", "Testing"])
        .same(
            "cmake -S . -B build | grep -v time; cmake --build build; cd build
             ctest | sed 's/[0-9.]* sec//'; ./sum 7 8",
        );
}

/// gdb stops at the function, prints and goes on; strace sees the program's own write.
#[test]
fn debuggers() {
    Work::new("debug").before(PROJECT).same(
        r"make -s sum
          gdb -q -batch -ex 'break sum' -ex run -ex 'print n' -ex backtrace -ex finish -ex continue --args ./sum 3 4 2>&1 |
              grep -E 'Breakpoint|^#|= |exited|^7' | sed 's/0x[0-9a-f]*/ADDRESS/g; s/process [0-9]*/process ID/'
          strace -f -e trace=write -o trace ./sum 3 4; grep -c write trace; sed -i 's/^[0-9]* *//' trace
          strace -c -o counts ./sum 1 2; grep -c total counts; rm counts
          # a process that is there already
          sleep 100 & sleep=$!
          gdb -q -batch -p $sleep -ex 'info inferiors' -ex detach 2>&1 | grep -c 'process '
          strace -q -p $sleep -o attached & tracer=$!
          until test -s attached; do sleep 0.02; done; kill $tracer; wait $tracer || true; rm attached
          kill $sleep; wait $sleep || echo $?",
    );
}

#[test]
fn a_core_is_not_left_where_cores_are_off() {
    Work::new("core").same(
        r#"printf 'int main(void) { *(volatile int *)0 = 1; }' > crash.c; gcc -w crash.c -o crash
           ulimit -c 0; ulimit -c; ls
           { ./crash || echo $?; (kill -ABRT $BASHPID) || echo $?; } 2>&1 | sed 's/line 3: *[0-9]*/line 3: ID/'; ls"#,
    );
}

//! Shells and what people put into scripts.

use crate::Work;

#[test]
fn jobs_substitutions_and_pipelines() {
    Work::new("bash").same(
        r#"sleep 0.1 & wait $!; echo $?; (exit 4) & wait $! || echo $?
           for n in 1 2 3; do (sleep 0.0$n; echo $n) & done | sort; wait
           diff <(printf 'a\nb\n') <(printf 'a\nc\n') || echo differ $?
           tee >(wc -c > count) <<< text > /dev/null; while ! test -s count; do sleep 0.01; done; cat count
           cat <<X
here $((6 * 7))
X
           set +o pipefail; yes | head -2; echo ${PIPESTATUS[*]}; set -o pipefail
           mkfifo pipe; (echo through > pipe) & cat pipe; rm pipe; exec 7<> file; echo seven >&7; cat file
           trap 'echo trapped' USR1; kill -USR1 $$; coproc { read -r l; echo "co $l"; }; echo in >&${COPROC[1]}; read -r l <&${COPROC[0]}; echo $l; wait $COPROC_PID || true
           set -m; sleep 100 & jobs | sed 's/ & *$//'; kill %1; wait %1 || echo $?; set +m
           ulimit -n; ulimit -s; ulimit -u > /dev/null; umask; (umask 077; : > private); time -p true 2> /dev/null
           printf '%s\n' "$HOME" "$PWD" ~ ; cd /; pwd; cd - > /dev/null; echo {a..e} *"#,
    );
}

#[test]
fn small_commands() {
    Work::new("commands").same(
        r#"timeout 0.1 sleep 100 || echo $?; { timeout -s KILL 0.1 sleep 100 || echo $?; } 2> /dev/null
           nohup sh -c 'echo hup' 2> /dev/null; nice -n 5 nice; env -i A=b env; seq 5 | xargs -n2 -P2 echo | sort
           mkdir -p a/b; touch a/1 a/b/2 'a/with space'; find a -type f -print0 | xargs -0 -P4 -n1 basename | sort
           seq 1000 | sort -R | sort -n | sha256sum; echo text | tee t | md5sum; sed -i s/text/other/ t; awk '{print toupper($0)}' t
           { time -p true; } 2>&1 | grep -c real; flock t true; flock t sh -c 'flock -n t true || echo locked'
           test -d "$(mktemp -d)"; f=$(mktemp); echo x > "$f"; cat "$f"; rm "$f"; mktemp -p . -u XXXX | wc -c; mktemp ./here.XXXXXX > /dev/null; rm here.*
           echo x > /dev/null; head -c4 /dev/zero | wc -c; head -c4 /dev/urandom | wc -c; echo f > /dev/full || echo $?
           (echo out > /dev/stdout; echo err > /dev/stderr) 2>&1 | cat; cat /dev/stdin < t; cat /dev/fd/0 < t; cat < /dev/tty || echo no terminal
           (sleep 0.2; echo late >> t) & (timeout 5 tail -n0 -f t || true) | head -1; wait; stdbuf -oL echo buffered; (yes x || true) | head -c 100000 | gzip | gunzip | wc -c
           install -m 640 t u; stat -c '%a %s %F' u; ln t hard; ln -s t soft; readlink -f soft | xargs basename; cp -a soft soft2; stat -c %h t
           chmod 751 u; chmod +t,g-x u; touch -d 2001-02-03 u; stat -c %y u; mv u v; truncate -s 1G sparse; stat -c '%s %b' sparse; rm sparse
           setfattr -n user.a -v b v 2>&1 || true; dd if=/dev/zero of=big bs=1M count=64 status=none; fallocate -l 1M f; cmp -n 1M big f; rm big f
           expr 1 + 1; printf '%d\n' 0x10; bc <<< '2^64' 2> /dev/null || true; comm -12 <(seq 5) <(seq 3 9); split -n 2 t part; cat part*"#,
    );
}

#[test]
fn archives_and_copies() {
    Work::new("archives").before(
        "mkdir -p from/deep; for n in $(seq 50); do echo $n > from/deep/$n; done; ln -s deep/1 from/link; ln from/deep/2 from/hard; chmod 600 from/deep/3",
    ).same(
        "tar -czf a.tgz from; tar -tzf a.tgz | wc -l; mkdir to; tar -xpf a.tgz -C to; diff -r from to/from; rm a.tgz
         rsync -a --delete from/ copy/; rsync -ani from/ copy/ | wc -l; rm -r from/deep/9; rsync -aH --delete -i from/ copy/ | grep delet
         cp -al copy linked; stat -c %h linked/link copy/deep/5; cp -r --reflink=auto copy other; du -s --inodes other | cut -f1; rm -rf linked
         (cd from; find . | LC_ALL=C sort | cpio -o --quiet 2>/dev/null | wc -c) || true; zcat -f /dev/null; xz -k from/link 2>&1 || true",
    );
}

#[test]
fn perl_sed_and_python_as_tools() {
    Work::new("scripts").before(
        "printf '#!/usr/bin/env python3\\nimport sys\\nprint(sys.argv[1:])\\n' > tool; printf '#!/usr/bin/perl -w\\nuse File::Temp; my $t = File::Temp->new; print $t \"x\"; print \"perl @ARGV\\n\";' > tool.pl; chmod +x tool*",
    ).same(
        r#"./tool a b; ./tool.pl c; perl -pi -e 's/import sys/import sys, os/' tool; head -2 tool | tail -1; perl -e 'print join(",", map { $_ * 2 } 1..5), "\n"'
           perl -MPOSIX -e 'print POSIX::strftime("%Y", gmtime(0)), "\n"; print `echo from perl`; exit 0'
           python3 -c 'import json, ssl, ctypes, curses, zlib; print(json.dumps({"a": [1, None]}))'; python3 -m json.tool <<< '{"b":1}'
           python3 -m compileall -q . ; python3 -m timeit -n1 -r1 pass > /dev/null; python3 -W error -c 'import os; print(os.path.expanduser("~"))'
           patch tool <<'X'
--- a
+++ b
@@ -3 +3 @@
-print(sys.argv[1:])
+print(sys.argv)
X
           ./tool d"#,
    );
}

#[test]
fn vim_without_a_screen() {
    Work::new("vim-script").before("seq 10 > text; mkdir ~/.vim; echo 'set ts=3' > ~/.vimrc").same(
        r#"vim -es -u NONE -c '%s/1/one/' -c 'wq' text; cat text; vim -es -c 'normal dd' -c 'set undofile' -c 'wq' text; head -1 text
           vim -Nes -u NONE -c 'redir >> out' -c 'echo system("echo from vim")' -c 'redir END' -c 'q'; cat out; rm -f .text.un~; ls -A
           printf 'new\n' | vim -es -u NONE -c 'wq! piped' - ; cat piped"#,
    );
}

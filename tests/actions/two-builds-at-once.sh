# marks: 49
printf 'all: %s\n%%.t:\n\t@mark; sleep 0.02; mark\n' "$(echo {1..12}.t)" >Makefile
begin a 'make -s -j4'
begin b 'make -s -j4'
wait

# marks: 25
printf 'all: %s\n%%.t:\n\t@mark; sleep 0.02; mark\n' "$(echo {1..12}.t)" >Makefile
step a 'make -s -j8'

# marks: 13
mkdir one two
for d in one two; do printf 'all: %s\n%%.t:\n\t@mark\n' "$(echo {1..6}.t)" >$d/Makefile; done
printf 'all: one two\n.PHONY: one two\none two:\n\t@$(MAKE) -s -C $@\n' >Makefile
step a 'make -s -j4'

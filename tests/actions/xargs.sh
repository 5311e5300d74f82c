# marks: 25
begin a 'seq 12 | xargs -P4 -I{} mark'
begin b 'seq 12 | xargs -P4 -n1 mark'
wait

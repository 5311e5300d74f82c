# marks: 401
begin a 'for n in {1..200}; do (m); done'
begin b 'for n in {1..200}; do (m); done'
wait

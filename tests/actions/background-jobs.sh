# marks: 7
begin a 'm; sleep 0.1; m'
begin b 'm; sleep 0.1; m'
begin c 'm; (sleep 0.05; m)'
wait

# marks: 5
# submissions: a 8, b 8
begin a 'm; exec kinds uring 4 0'
begin b 'm; exec kinds uring 4 16'
wait

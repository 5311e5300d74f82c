# marks: 12
begin a 'm; kinds threads 4 mark; true'
begin b 'kinds threads 4 mark; true'
wait

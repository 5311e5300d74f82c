# marks: 10
pool
step a 'python3 pool.py spawn'

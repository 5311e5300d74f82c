# marks: 6
# the thread takes the number of its process
step a 'm; kinds thread-exec mark; true'
step b 'exec kinds thread-exec mark'

# marks: 3
# submissions: a 8
step a 'm; exec kinds uring-polled 4 0'

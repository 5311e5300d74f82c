# marks: 2
step a m

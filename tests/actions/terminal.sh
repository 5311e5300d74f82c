# marks: 3
step a 'm; script -qec m /dev/null </dev/null >/dev/null'

# marks: 10
step a 'm; kinds spawn mark; kinds vfork mark'
step b 'kinds spawn mark; kinds vfork mark; true'

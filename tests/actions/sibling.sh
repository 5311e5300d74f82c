# marks: 6
# a child that is its maker's sibling
step a 'm; kinds sibling mark; sleep 0.1'
step b 'kinds sibling mark; sleep 0.1'

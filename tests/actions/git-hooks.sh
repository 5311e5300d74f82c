# marks: 6
git init -q . && git config user.name t && git config user.email t@localhost
for h in pre-commit commit-msg post-commit post-checkout; do printf '#!/bin/sh\nmark\n' >.git/hooks/$h; chmod 755 .git/hooks/$h; done
step a 'm; git commit -q --allow-empty -m one'
step b 'git checkout -q -b other'

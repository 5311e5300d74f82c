# marks: 5
git init -q from && git -C from -c user.name=t -c user.email=t@localhost commit -q --allow-empty -m one
mkdir -p template/hooks; printf '#!/bin/sh\nmark\n' >template/hooks/post-checkout; chmod 755 template/hooks/post-checkout
begin a 'm; git clone -q --no-local --template template from a'
begin b 'm; git clone -q --no-local --template template from b'
wait

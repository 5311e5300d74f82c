# marks: 13
# as over ssh: many stages, each alive until the last line is through
step a '(m; seq 50) | (m; while read -r n; do echo $n; done) | (m; tr 1 2) | (m; sort) | (m; uniq) | (m; cat)' >/dev/null
step b '(m; seq 50) | (m; while read -r n; do echo $n; done) | (m; tr 1 2) | (m; sort) | (m; uniq) | (m; cat)' >/dev/null

# marks: 4
step a 'x=$(m; y=$(m; echo 1); echo $y); m; echo $x >/dev/null'

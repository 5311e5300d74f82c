# marks: 3
step a 'coproc c { m; read -r x; }; m; echo go >&"${c[1]}"; wait'

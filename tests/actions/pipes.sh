# marks: 7
step a '(m; echo x) | (m; cat) | (m; cat >/dev/null)'
step b '(m; echo x) | (m; cat) | (m; cat >/dev/null)'

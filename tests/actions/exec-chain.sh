# marks: 5
step a 'm; exec bash -c "m; exec bash -c \"m; exec mark\""'

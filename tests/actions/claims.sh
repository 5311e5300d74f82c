# marks: 5
# claimed: a first, b second
begin a 'stockade action run --id one --label first -- bash -c "m; sleep 0.2; (m)"'
begin b 'stockade action run --id two --label second -- bash -c "m; sleep 0.2; (m)"'
wait

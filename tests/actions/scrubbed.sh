# marks: 4
# neither a variable nor a name is what says where a process belongs
step a 'env -i PATH="$PATH" TRUTH="$TRUTH" STEP=a mark; exec -a agent bash -c m'
step b 'env -i PATH="$PATH" TRUTH="$TRUTH" STEP=b bash -c "exec -a claude mark"'

# marks: 7
# agent: kinds
# what stands before the agent is action 0, and so is what that starts
(STEP=agent m)
bash -c 'export STEP=agent; m; kinds agent-kinds mark; true'

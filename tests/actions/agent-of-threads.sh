# marks: 10
# steps that threads of the agent start, all at once
STEP=agent exec kinds agent-threads 8 mark

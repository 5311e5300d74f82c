# marks: 5
# spawned, vforked and started as a sibling by the agent itself
STEP=agent exec kinds agent-kinds mark
